// `npm run pages`: writes the reference pages that are made from the source.

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { constantsPage } from './pages.ts';

const root = path.dirname(import.meta.dirname);
const source = await readFile(path.join(root, 'lib/constants/mod.ts'), 'utf8');
await writeFile(path.join(root, 'docs/reference/constants.md'), constantsPage(source));
