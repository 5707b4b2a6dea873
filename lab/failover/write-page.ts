// `node lab/failover/write-page.ts FILE`: makes docs/reference/failover.md from what `npm run bench -- failover --json` printed.

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { failoverPage } from './page.ts';

const [file] = process.argv.slice(2);
if (file === undefined) throw new TypeError('Cannot make the page: the file with the figures is missing');
const page = path.join(import.meta.dirname, '..', '..', 'docs', 'reference', 'failover.md');
await writeFile(page, failoverPage(await readFile(file, 'utf8')));
