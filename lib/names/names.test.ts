import test from 'ava';
import { isClusterId, parseClusterId } from '#lib/names';

test('parseClusterId() takes RFC 1123 labels', (t) => {
  for (const text of ['east', 'e', '1', 'eu-west-1', 'a'.repeat(63)])
    t.is<string, string>(parseClusterId(text), text);
});

test('parseClusterId() refuses all else and says what a label looks like', (t) => {
  for (const text of [
    '',
    'East',
    '-east',
    'east-',
    'ea_st',
    'ea.st',
    'a'.repeat(64),
    'east\n',
    'éa',
    ' east',
  ]) {
    t.false(isClusterId(text), text);
    const error = t.throws(() => parseClusterId(text), { instanceOf: SyntaxError });
    t.regex(error.message, /as a cluster id: it is not a label of lower case letters/);
  }
});
