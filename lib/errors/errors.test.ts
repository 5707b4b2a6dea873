import test from 'ava';
import { codeOf, messageOf } from '#lib/errors';

test('messageOf() says what was thrown, whatever it is', (t) => {
  t.deepEqual([new TypeError('no'), 'no', 7, undefined].map(messageOf), ['no', 'no', '7', 'undefined']);
});

test('codeOf() finds the system’s code, and nothing in anything else', (t) => {
  const refused = Object.assign(new Error('no such file'), { code: 'ENOENT' });
  const others = [
    new Error('no'),
    Object.assign(new Error('no'), { code: 7 }),
    { code: 'ENOENT' },
    undefined,
  ];
  t.is(codeOf(refused), 'ENOENT');
  t.deepEqual(others.map(codeOf), [undefined, undefined, undefined, undefined]);
});
