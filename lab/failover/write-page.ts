// `node lab/failover/write-page.ts FILE...`: makes docs/reference/failover.md from what `npm run bench -- failover --json` printed, once or several times.

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { failoverPage } from './page.ts';
import { pool } from './pool.ts';
import { ROWS } from './rows.ts';

const documents = await Promise.all(
  process.argv.slice(2).map(async (file): Promise<unknown> => JSON.parse(await readFile(file, 'utf8'))),
);
const page = path.join(import.meta.dirname, '..', '..', 'docs', 'reference', 'failover.md');
const targets = new Map(ROWS.flatMap(({ variants }) => variants).map((variant) => [variant.id, variant]));
await writeFile(page, failoverPage(pool(documents, (id) => targets.get(id))));
