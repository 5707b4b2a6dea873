import { readFile } from 'node:fs/promises';
import test from 'ava';
import { compareConditions, condition, CONDITIONS, isConditionCode } from '#lib/conditions';

test('condition() fills the places of its text', (t) => {
  t.deepEqual(condition('IST_NO_PATH', 'west', { cluster: 'west' }), {
    code: 'IST_NO_PATH',
    about: 'west',
    text: 'No tunnel to cluster "west" answers, and no other gateway here leads there: its addresses are unreachable until one does',
  });
});

test('compareConditions() shows errors before warnings before what is only worth knowing', (t) => {
  const list = [
    condition('IST_WIREGUARD_USERSPACE', 'gw-0', { program: 'wireguard-go' }),
    condition('IST_TUNNEL_DOWN', 'west/1#0', { tunnel: 'west/1#0' }),
    condition('IST_TUNNEL_DOWN', 'west/0#0', { tunnel: 'west/0#0' }),
    condition('IST_NO_PATH', 'west', { cluster: 'west' }),
  ];
  t.deepEqual(
    list.sort(compareConditions).map(({ about }) => about),
    ['west', 'west/0#0', 'west/1#0', 'gw-0'],
  );
});

test('CONDITIONS is sorted by code, and each code says whose it is', (t) => {
  const codes = Object.keys(CONDITIONS);
  t.deepEqual(codes, codes.toSorted());
  for (const code of codes) t.regex(code, /^IST_[A-Z0-9_]+$/);
  t.false(isConditionCode('toString'));
});

test('CONDITIONS and docs/reference/conditions.md list each other, with the same words', async (t) => {
  const page = await readFile(new URL('../../docs/reference/conditions.md', import.meta.url), 'utf8');
  const rows = page.matchAll(/^## (IST_\w+)\n\n\*(\w+)\* · (.+)\n\n> (.+)\n/gm);
  const listed = Array.from(rows, ([, code, severity, title, text]) => ({ code, severity, title, text }));
  const table = Object.entries(CONDITIONS).map(([code, row]) => ({
    code,
    severity: row.severity,
    title: row.title,
    text: row.text,
  }));
  t.deepEqual(listed, table);
});
