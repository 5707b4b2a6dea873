import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import test from 'ava';
import * as fc from 'fast-check';
import { decode, encodeAccount, encodeUser, parseCreds } from '@nats-io/jwt';
import { createAccount, createOperator, createUser, fromPublic, fromSeed } from '@nats-io/nkeys';
import {
  OPEN_LIMITS,
  Nkey,
  decodeBase32,
  decodeJwt,
  encodeBase32,
  encodeJwt,
  formatCreds,
  parseNkeyPublic,
  renderServerConfig,
  verifyNkey,
} from './mod.ts';

const SEED = { seed: 20, numRuns: 200 };
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

test('encodeBase32() and decodeBase32() are inverse, and only one text means the same bytes', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
      t.deepEqual(Buffer.from(decodeBase32(encodeBase32(bytes))), Buffer.from(bytes));
    }),
    SEED,
  );
  t.throws(() => decodeBase32('AB'), { instanceOf: SyntaxError });
  t.throws(() => decodeBase32('a'), { instanceOf: SyntaxError });
});

test('Nkey reads the seeds of the reference library and signs as it does', (t) => {
  for (const pair of [createOperator(), createAccount(), createUser()]) {
    const seed = new TextDecoder().decode(pair.getSeed());
    const own = Nkey.parse(seed);
    t.deepEqual([own.publicKey], [parseNkeyPublic(pair.getPublicKey(), own.role)]);
    t.is(own.reveal(), seed);
    t.deepEqual(Buffer.from(own.sign(utf8('x'))), Buffer.from(pair.sign(utf8('x'))));
  }
});

test('Nkey writes keys that the reference library reads', (t) => {
  for (const role of ['operator', 'account', 'user', 'server'] as const) {
    const own = Nkey.generate(role);
    t.is(fromSeed(utf8(own.reveal())).getPublicKey(), own.publicKey);
    t.true(fromPublic(own.publicKey).verify(utf8('x'), own.sign(utf8('x'))));
    t.true(verifyNkey(own.publicKey, utf8('x'), own.sign(utf8('x'))));
    t.false(verifyNkey(own.publicKey, utf8('y'), own.sign(utf8('x'))));
  }
});

test('Nkey does not print its seed', (t) => {
  const own = Nkey.generate('user');
  for (const text of [inspect(own), JSON.stringify({ own }), String(own)]) {
    t.false(text.includes(own.reveal()));
    t.true(text.includes(own.publicKey));
  }
});

test('Nkey.parse() and parseNkeyPublic() refuse altered text, other roles and noise', (t) => {
  const own = Nkey.generate('account');
  const swap = (text: string, at: number): string =>
    text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
  for (let at = 0; at < 56; at += 1) {
    t.throws(() => parseNkeyPublic(swap(own.publicKey, at), 'account'), { instanceOf: SyntaxError });
  }
  for (let at = 0; at < 58; at += 1)
    t.throws(() => Nkey.parse(swap(own.reveal(), at)), { instanceOf: SyntaxError });
  t.throws(() => parseNkeyPublic(own.publicKey, 'user'), { instanceOf: SyntaxError });
  t.throws(() => Nkey.parse(own.publicKey), { instanceOf: SyntaxError });
  fc.assert(
    fc.property(fc.string(), (text) => {
      t.throws(() => Nkey.parse(text), { instanceOf: SyntaxError });
    }),
    SEED,
  );
});

test('encodeJwt() writes what the reference library accepts', async (t) => {
  const operator = Nkey.generate('operator');
  const account = Nkey.generate('account');
  const user = Nkey.generate('user');
  const text = encodeJwt({
    name: 'east',
    subject: account.publicKey,
    signer: operator,
    claims: { type: 'account', version: 2, limits: OPEN_LIMITS, imports: [], exports: [] },
    issuedAt: 1_700_000_000,
    expiresAt: 1_800_000_000,
  });
  const claims = decode<Record<string, unknown>>(text);
  t.is(claims.iss, operator.publicKey);
  t.is(claims.sub, account.publicKey);
  t.is(claims.exp, 1_800_000_000);
  t.deepEqual(claims.nats['limits'], OPEN_LIMITS);
  t.is(
    text,
    encodeJwt({ ...decoded(text, operator), subject: account.publicKey }),
    'the same claims give the same text',
  );
  const creds = formatCreds(userJwt(account, user), user);
  const parsed = await parseCreds(utf8(creds));
  t.is(parsed.key, user.reveal());
  t.is(parsed.aid, String(account.publicKey));
});

function decoded(text: string, signer: Nkey): Omit<Parameters<typeof encodeJwt>[0], 'subject'> {
  const { name, iat: issuedAt, exp: expiresAt } = decodeJwt(text, 'operator');
  const claims = { type: 'account', version: 2, limits: OPEN_LIMITS, imports: [], exports: [] } as const;
  return { name, issuedAt, signer, claims, ...(expiresAt === undefined ? {} : { expiresAt }) };
}

function userJwt(account: Nkey, user: Nkey): string {
  const claims = { type: 'user', version: 2, pub: {}, sub: {}, subs: -1, data: -1, payload: -1 } as const;
  return encodeJwt({ name: 'gw', subject: user.publicKey, signer: account, claims, issuedAt: 1 });
}

test('decodeJwt() reads what the reference library writes', async (t) => {
  const operator = createOperator();
  const account = createAccount();
  const text = await encodeAccount('east', account, { limits: { conn: 3 } }, { signer: operator });
  const claims = decodeJwt(text, 'operator');
  t.is(claims.sub, account.getPublicKey());
  t.is(claims.iss, operator.getPublicKey());
  const user = createUser();
  const userText = await encodeUser('gw', user, account, {}, { exp: 2_000_000_000 });
  t.is(decodeJwt(userText, 'account').exp, 2_000_000_000);
  t.throws(() => decodeJwt(userText, 'operator'), { instanceOf: SyntaxError });
});

test('decodeJwt() refuses a JWT with any byte altered', (t) => {
  const text = userJwt(Nkey.generate('account'), Nkey.generate('user'));
  fc.assert(
    fc.property(fc.nat({ max: text.length - 1 }), fc.constantFrom('A', 'x', '.', '0'), (at, character) => {
      const altered = text.slice(0, at) + character + text.slice(at + 1);
      // The last character of unpadded base64url holds bits that decode to nothing.
      if (altered === text || at === text.length - 1) return;
      t.throws(() => decodeJwt(altered, 'account'), { instanceOf: SyntaxError });
    }),
    SEED,
  );
});

test('renderServerConfig() opens one listener only', (t) => {
  const text = renderServerConfig({
    name: 'broker',
    host: '::',
    port: 4222,
    tls: { certFile: '/d/server.crt', keyFile: '/d/server.key' },
    store: { directory: '/d/jetstream', maxFile: 1, maxMemory: 0 },
    operatorJwt: 'operator',
    systemAccount: Nkey.generate('account', () => randomBytes(32)).publicKey,
    resolverDirectory: '/d/accounts',
    preload: new Map(),
    maxPayload: 1,
    pingInterval: 2,
  });
  t.regex(text, /"listen": "\[::\]:4222"/);
  t.notRegex(text, /http|monitor|leaf|gateway|cluster|websocket|mqtt/);
});
