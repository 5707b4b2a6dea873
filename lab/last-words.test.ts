import test from 'ava';
import { lastWords } from './last-words.ts';

const STARTED = '{"level":"info","time":"2026-01-01T00:00:00.000Z","message":"Started"}';

test('lastWords() takes what a daemon says when it gives up', (t) => {
  const text = 'isthmus-gateway: Cannot lock "/var/lib/isthmus": another daemon runs';
  t.is(lastWords(`${STARTED}\n${text}\n${STARTED}\n`), text);
});

test('lastWords() takes a logged error before what came after it, with its reason', (t) => {
  const error = '{"level":"error","message":"A pass failed","error":{"message":"no space left"}}';
  t.is(lastWords(`${error}\n${STARTED}\n`), 'A pass failed: no space left');
});

test('lastWords() finds the error above its stack', (t) => {
  const crash = [
    'file:///x/isthmus-gateway.mjs:3',
    'throw new Error("broken");',
    '^',
    '',
    "TypeError: Cannot read properties of undefined (reading 'x')",
    '    at run (file:///x/isthmus-gateway.mjs:3:7) {',
    "  code: 'ERR'",
    '}',
    '',
    'Node.js v24.0.0',
    '',
  ];
  t.is(
    lastWords(`${STARTED}\n${crash.join('\n')}`),
    "TypeError: Cannot read properties of undefined (reading 'x')",
  );
});

test('lastWords() falls back to the last line, and says so where there is none', (t) => {
  t.is(lastWords(`${STARTED}\n`), 'Started');
  t.is(lastWords('\n'), 'it said nothing');
});
