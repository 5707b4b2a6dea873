import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import test from 'ava';
import * as fc from 'fast-check';
import { openBeacon, signBeacon } from '../records/beacon.ts';
import { admit } from './admission.ts';
import { pinRoot, signDelegation } from './authority.ts';
import { openCertificate, signCertificate } from './certificate.ts';
import { fabricOf } from './fabric.ts';
import { isVerifyingKey, SigningKey } from './keys.ts';
import type { Ledger } from './ledger.ts';
import { Merge } from './merge.ts';
import { openRecord, recordContent, signRecord } from './record.ts';
import type { RefusalCode } from './refusal.ts';
import { Refused } from './refusal.ts';
import { signDeparture, signRevocation } from './revocation.ts';
import { signStatement } from './statement.ts';
import { accountOf, cidrsOf, EPOCH, gatewayContent, newClusterset, subjectOf } from './testing.ts';
import { checkToken, encodeToken, parseToken, TokenError } from './token.ts';

const SEED = 73;

/** What admission says, in one word. */
function said(ledger: Ledger, subject: string, bytes: Uint8Array): RefusalCode | 'accepted' | 'unchanged' {
  const verdict = admit(ledger, subject, bytes);
  return verdict.outcome === 'refused' ? verdict.code : verdict.outcome;
}

/** A clusterset with "west" in it, and "west" with one gateway at (1, 1). */
function setUp() {
  const set = newClusterset();
  const west = set.cluster('west', 2);
  const merge = new Merge(set.ledger());
  const slot = subjectOf(west.account, 'gw.0');
  merge.offer(west.directory, west.bytes);
  const first = set.gateway(west);
  merge.offer(slot, first);
  return { set, west, merge, ledger: merge.ledger, slot, first };
}

test('SigningKey does not print, and comes back from its PEM', (t) => {
  const key = SigningKey.generate();
  const secret = key.reveal();
  t.is(SigningKey.parse(secret).publicKey, key.publicKey);
  for (const shown of [String(key), JSON.stringify({ key }), inspect(key), inspect({ key }, { depth: 9 })]) {
    t.true(shown.includes('[redacted]'));
    t.false(shown.includes(secret.split('\n')[1] ?? ''));
  }
  t.throws(() => SigningKey.parse('-----BEGIN PRIVATE KEY-----'), { instanceOf: SyntaxError });
});

test('isVerifyingKey() takes only the canonical text of 32 bytes', (t) => {
  const { publicKey } = SigningKey.generate();
  t.true(isVerifyingKey(publicKey));
  for (const other of [
    '',
    publicKey.slice(1),
    `${publicKey} `,
    publicKey.replace('=', ''),
    `A${publicKey}`,
  ]) {
    t.false(isVerifyingKey(other));
  }
});

test('fabricOf() gives every clusterset a /48 of its own inside fd00::/8, always the same', (t) => {
  t.deepEqual(fabricOf('0011223344556677'), fabricOf('0011223344556677'));
  t.regex(fabricOf('a').v6, /^fd[0-9a-f]{2}:[0-9a-f:]+\/48$/);
  t.not(fabricOf('a').v6, fabricOf('b').v6);
  t.is(String(fabricOf('a').v4), '100.64.0.0/10');
  for (const other of ['100.64.0.0/11', '100.0.0.0/8', 'fd00::/10', 'x']) {
    t.throws(() => fabricOf('a', other), { instanceOf: SyntaxError });
  }
});

test('admit() accepts a member, its record, and the next version of it', (t) => {
  const { set, west, ledger, slot, first } = setUp();
  t.is(ledger.members.get(west.cluster)?.serial, west.serial);
  t.is(said(ledger, slot, first), 'unchanged');
  t.is(said(ledger, slot, set.gateway(west, { version: 2 })), 'accepted');
  t.is(said(ledger, slot, set.gateway(west, { epoch: 2, version: 1 })), 'accepted');
});

test('admit() never lets issuedAt decide', (t) => {
  const { set, west, ledger, slot } = setUp();
  const draft = {
    clusterset: set.pins.root.clusterset,
    cluster: west.cluster,
    account: west.account,
    kind: 'gateway',
    slot: 'gw.0',
    schema: 1,
    epoch: 1,
    content: gatewayContent(west),
  };
  const old = signRecord({ ...draft, version: 2 }, west.key, new Date('1990-01-01'));
  const future = signRecord({ ...draft, version: 0x7fffffff }, west.key, new Date('2990-01-01'));
  t.is(said(ledger, slot, old), 'accepted');
  t.is(said(ledger, slot, future), 'accepted');
});

test('admit() refuses a record of the wrong account, and keeps what it holds', (t) => {
  const { set, west, merge, ledger, slot, first } = setUp();
  const east = set.cluster('east', 1);
  merge.offer(east.directory, east.bytes);
  const ofEast = set.gateway(east, { version: 9 });
  t.is(said(ledger, slot, ofEast), 'wrong-account', "east's record under west's account");
  t.is(said(ledger, subjectOf(east.account, 'gw.0'), first), 'wrong-account', "west's record under east's");
  t.is(said(ledger, slot, set.gateway(west, { account: east.account, version: 9 })), 'wrong-account');
  t.is(said(ledger, slot, set.gateway(west, { cluster: east.cluster, version: 9 })), 'wrong-account');
  t.is(
    said(ledger, slot, set.gateway(west, { version: 9 }, east.key)),
    'bad-signature',
    'signed by east as west',
  );
  t.is(said(ledger, subjectOf(accountOf('nobody'), 'gw.0'), first), 'unknown-member');
  t.is(ledger.record(west.cluster, 'gw.0')?.bytes, first);
});

test('admit() refuses a record in the wrong slot', (t) => {
  const { set, west, ledger, slot, first } = setUp();
  t.is(said(ledger, subjectOf(west.account, 'gw.1'), first), 'wrong-slot', 'a copy of slot 0 in slot 1');
  t.is(said(ledger, slot, set.gateway(west, { slot: 'gw.1', version: 2 })), 'wrong-slot');
  t.is(said(ledger, slot, set.gateway(west, { kind: 'manifest', version: 2 })), 'wrong-slot');
  const about = { ...gatewayContent(west), ordinal: 1 };
  t.is(
    said(ledger, slot, set.gateway(west, { content: about, version: 2 })),
    'wrong-slot',
    'about gateway 1',
  );
  t.is(said(ledger, subjectOf(west.account, 'gw.8'), set.gateway(west, { slot: 'gw.8' })), 'unknown-kind');
  t.is(said(ledger, subjectOf(west.account, 's.3'), set.gateway(west, { slot: 's.3' })), 'unknown-kind');
});

test('admit() refuses an older version, also of a higher version in a lower epoch', (t) => {
  const { set, west, merge, ledger, slot, first } = setUp();
  merge.offer(slot, set.gateway(west, { epoch: 5, version: 3 }));
  t.is(said(ledger, slot, first), 'older');
  t.is(said(ledger, slot, set.gateway(west, { epoch: 5, version: 2 })), 'older');
  t.is(said(ledger, slot, set.gateway(west, { epoch: 4, version: 900 })), 'older');
});

test('admit() refuses a second record of the same version, and keeps the first', (t) => {
  const { set, west, ledger, slot } = setUp();
  const other = set.gateway(west, { content: gatewayContent(west, 40_000) });
  t.is(said(ledger, slot, other), 'equivocation');
  const held = ledger.record(west.cluster, 'gw.0')?.content;
  t.is(held?.kind === 'gateway' && held.gateway.endpoint?.port, 51820);
});

test('admit() refuses contents outside the certificate', (t) => {
  const { set, west, ledger, slot } = setUp();
  const claim = (...cidrs: string[]) =>
    said(ledger, slot, set.gateway(west, { version: 2, content: { ...gatewayContent(west), cidrs } }));
  t.is(claim('10.1.0.0/16'), 'outside-certificate', "another cluster's");
  t.is(claim('10.2.0.0/15'), 'outside-certificate', 'one bit more than its own');
  t.is(claim('0.0.0.0/0'), 'outside-certificate');
  t.is(claim('10.2.128.0/17', 'fd10:2:5::/48'), 'accepted', 'less than its own');
  t.is(claim('10.2.0.1/16'), 'malformed', 'not canonical');
  const at = (address: string) =>
    said(
      ledger,
      slot,
      set.gateway(west, {
        version: 2,
        content: { ...gatewayContent(west), endpoint: { addresses: [address], port: 51820 } },
      }),
    );
  t.is(
    at('10.2.3.4'),
    'outside-certificate',
    'an endpoint inside its own pods: the tunnel would swallow itself',
  );
  t.is(at('100.64.0.1'), 'outside-certificate', 'an endpoint inside the fabric');
  for (const nobody of [
    '127.0.0.1',
    '0.0.0.0',
    '169.254.1.1',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    'fe80::1',
    'ff02::1',
  ])
    t.is(at(nobody), 'malformed', nobody);
  t.is(at('198.51.100.7'), 'accepted');
});

test('admit() refuses what is too long before it inflates it', (t) => {
  const { set, west, ledger, slot } = setUp();
  t.is(said(ledger, slot, randomBytes(70_000)), 'oversized');
  const bomb = { ...gatewayContent(west), padding: 'x'.repeat(1_000_000) };
  const packed = set.gateway(west, { version: 2, content: bomb });
  t.true(packed.length < 4096, 'a megabyte that travels as two kilobytes');
  t.is(said(ledger, slot, packed), 'oversized');
  const lying = relabel(packed, west.key, { size: 100 });
  t.is(said(ledger, slot, lying), 'malformed', 'the declared size is a lie');
  t.throws(() => recordContent(openRecord(lying), 8192), { instanceOf: Refused });
});

test('admit() keeps the last usable version when a newer schema comes', (t) => {
  const { set, west, ledger, slot, first } = setUp();
  t.is(said(ledger, slot, set.gateway(west, { schema: 2, version: 2 })), 'unknown-schema');
  t.is(ledger.record(west.cluster, 'gw.0')?.bytes, first);
  const grown = { ...gatewayContent(west), added: 'later' };
  t.is(said(ledger, slot, set.gateway(west, { content: grown, version: 3 })), 'accepted', 'an unknown field');
});

test('admit() refuses every record that differs in one bit', (t) => {
  const { ledger, slot, first, set, west } = setUp();
  const next = set.gateway(west, { version: 2 });
  for (const bytes of [first, next]) {
    for (let at = 0; at < bytes.length; at += 1) {
      const altered = Uint8Array.from(bytes);
      altered[at] = (altered[at] ?? 0) ^ (1 << (at % 8));
      const verdict = said(ledger, slot, altered);
      t.false(verdict === 'accepted' || verdict === 'unchanged', `byte ${at}: ${verdict}`);
    }
  }
});

test('admit() refuses every certificate that differs in one bit', (t) => {
  const set = newClusterset();
  const west = set.cluster('west', 2);
  for (let at = 0; at < west.bytes.length; at += 1) {
    const altered = Uint8Array.from(west.bytes);
    altered[at] = (altered[at] ?? 0) ^ (1 << (at % 8));
    t.not(said(set.ledger(), west.directory, altered), 'accepted', `byte ${at}`);
  }
});

test('admit() takes a statement of one sort for no other', (t) => {
  const { set, west, ledger, slot, first } = setUp();
  t.is(said(ledger, slot, west.bytes), 'malformed');
  t.is(said(ledger, west.directory, first), 'malformed');
  const beacon = { time: 1, created: 'x', session: 'y', sessionHead: 0, head: 0, directory: '' };
  const bytes = signBeacon(set.membership, beacon);
  t.like(openBeacon(set.pins.root, bytes), beacon);
  t.is(said(ledger, west.directory, bytes), 'malformed');
  t.throws(() => openBeacon(set.pins.root, west.bytes), { instanceOf: Refused });
});

test('admit() keeps a buried slot buried', (t) => {
  const { set, west, merge, ledger, slot, first } = setUp();
  const { content: _, ...empty } = { content: undefined };
  const tombstone = buried(set, west, 7);
  t.is(said(ledger, slot, tombstone), 'accepted');
  merge.offer(slot, tombstone);
  t.is(ledger.record(west.cluster, 'gw.0')?.content, undefined);
  t.is(said(ledger, slot, first), 'older');
  t.is(said(ledger, slot, set.gateway(west, { version: 8, ...empty })), 'accepted');
});

test('admit() refuses certificates that the pinned root does not stand behind', (t) => {
  const set = newClusterset();
  const other = newClusterset();
  const west = other.cluster('west', 2);
  const ledger = set.ledger();
  t.is(said(ledger, west.directory, west.bytes), 'wrong-clusterset');
  const clusterset = set.pins.root.clusterset;
  const thief = SigningKey.generate();
  const forged = (delegation: Uint8Array | undefined) =>
    signCertificate(
      { key: thief, clusterset, ...(delegation === undefined ? {} : { delegation }) },
      west,
      EPOCH,
    );
  t.is(said(ledger, west.directory, forged(undefined)), 'bad-signature', 'as if it were the root');
  const own = signDelegation(thief, thief.publicKey, EPOCH);
  t.is(said(ledger, west.directory, forged(own)), 'untrusted-signer', 'delegated by itself');
  t.is(
    said(ledger, west.directory, forged(set.membership.delegation)),
    'bad-signature',
    'with a delegation it stole',
  );
  t.is(said(ledger, west.directory, forged(randomBytes(300))), 'untrusted-signer');
});

test('admit() refuses a certificate that re-identifies a member; the root may', (t) => {
  const { set, west, merge, ledger } = setUp();
  const renewed = set.cluster('west', 2, { key: west.key, serial: 10, podCidrs: cidrsOf('10.2.0.0/15') });
  t.is(said(ledger, west.directory, renewed.bytes), 'accepted', 'the same key, more CIDRs');
  const thief = set.cluster('west', 2, { serial: 11 });
  t.is(said(ledger, west.directory, thief.bytes), 're-identified');
  const account = set.cluster('west', 2, { key: west.key, serial: 11, account: accountOf('thief') });
  t.is(said(ledger, west.directory, account.bytes), 're-identified');
  t.is(said(ledger, west.directory, set.cluster('west', 2, { key: west.key, serial: 1 }).bytes), 'older');
  t.is(
    said(ledger, west.directory, set.cluster('west', 3, { key: west.key, serial: 2 }).bytes),
    'equivocation',
  );
  const byRoot = signCertificate(set.root, thief, EPOCH);
  t.is(said(ledger, west.directory, byRoot), 'accepted');
  merge.offer(west.directory, byRoot);
  t.deepEqual(ledger.recordsOf(west.cluster), [], 'what the old key signed is gone');
});

test('admit() refuses a certificate that overlaps what another member holds', (t) => {
  const { set, west, ledger } = setUp();
  const claim = (changes: Parameters<typeof set.cluster>[2]) => {
    const rogue = set.cluster('rogue', 7, changes);
    return said(ledger, rogue.directory, rogue.bytes);
  };
  t.is(claim({}), 'accepted');
  t.is(claim({ podCidrs: cidrsOf('10.2.3.0/24') }), 'overlap', 'inside');
  t.is(claim({ podCidrs: cidrsOf('10.0.0.0/8') }), 'overlap', 'around');
  t.is(claim({ podCidrs: cidrsOf('fd10:2:ffff::/48') }), 'overlap');
  t.is(claim({ serviceCidrs: cidrsOf('10.2.0.0/16') }), 'overlap', 'services over pods');
  t.is(claim({ podCidrs: cidrsOf('172.16.2.128/25') }), 'overlap', 'pods over services');
  t.is(claim({ index: west.index }), 'overlap');
  t.is(claim({ account: west.account }), 'overlap');
  t.is(claim({ key: west.key }), 'overlap');
  t.is(claim({ podCidrs: cidrsOf('10.7.0.0/16', '10.7.1.0/24') }), 'malformed', 'overlaps itself');
  t.is(said(ledger, west.directory, set.cluster('rogue', 7).bytes), 'wrong-slot');
});

test('admit() keeps out who was revoked, whatever the broker forgets', (t) => {
  const { set, west, merge, ledger, slot, first } = setUp();
  const revocation = signRevocation(set.membership, west.bytes, 'stolen', EPOCH);
  merge.offer(west.directory, revocation);
  t.false(ledger.members.has(west.cluster));
  t.deepEqual(
    ledger.revoked.map(({ cluster }) => cluster),
    [west.cluster],
  );
  t.is(said(ledger, west.directory, west.bytes), 'revoked', 'the broker shows the old certificate');
  t.is(said(ledger, slot, first), 'unknown-member');
  const again = set.cluster('west', 2, { key: west.key, serial: 50 });
  t.is(said(ledger, again.directory, again.bytes), 'revoked', 'the same key under a new serial');
  const elsewhere = set.cluster('other', 9, { key: west.key, serial: 51 });
  t.is(said(ledger, elsewhere.directory, elsewhere.bytes), 'revoked', 'the same key under another name');
});

test('admit() holds id and CIDRs of who the membership key revoked, until the root or the member frees them', (t) => {
  for (const freed of ['root', 'member'] as const) {
    const { set, west, merge, ledger } = setUp();
    const reborn = set.cluster('west', 2, { serial: 60 });
    const heir = set.cluster('heir', 8, { podCidrs: cidrsOf('10.2.0.0/16'), serial: 61 });
    merge.offer(west.directory, signRevocation(set.membership, west.bytes, 'by a thief', EPOCH));
    t.is(said(ledger, reborn.directory, reborn.bytes), 'held');
    t.is(said(ledger, heir.directory, heir.bytes), 'overlap');
    const end =
      freed === 'root'
        ? signRevocation(set.root, west.bytes, 'lost', EPOCH)
        : signDeparture(west.key, set.pins.root.clusterset, west.bytes, EPOCH);
    merge.offer(subjectOf(set.pins.brokerAccount, `end.${west.account}`), end);
    t.is(said(ledger, reborn.directory, reborn.bytes), 'accepted', freed);
    t.is(said(ledger, heir.directory, heir.bytes), 'accepted', freed);
    t.is(ledger.revoked.length, freed === 'root' ? 1 : 0, 'who left is in no list');
  }
});

test('admit() lets nobody end the membership of another', (t) => {
  const { set, west, merge, ledger } = setUp();
  const east = set.cluster('east', 1);
  merge.offer(east.directory, east.bytes);
  const clusterset = set.pins.root.clusterset;
  t.is(said(ledger, west.directory, signDeparture(east.key, clusterset, west.bytes, EPOCH)), 'bad-signature');
  t.is(said(ledger, west.directory, signDeparture(east.key, clusterset, east.bytes, EPOCH)), 'wrong-slot');
  const raised = signStatement(
    'isthmus-revocation-v1',
    {
      clusterset,
      by: 'root',
      reason: '',
      issuedAt: '',
      delegation: Buffer.from(set.membership.delegation ?? '').toString('base64'),
    },
    west.bytes,
    set.membership.key,
  );
  t.is(
    said(ledger, west.directory, raised),
    'untrusted-signer',
    'the membership key in the name of the root',
  );
  const other = newClusterset();
  const foreign = signRevocation(other.root, west.bytes, '', EPOCH);
  t.is(said(ledger, west.directory, foreign), 'wrong-clusterset');
});

test('Merge.offer() ends in the same state whatever the order of arrival', (t) => {
  const story = honestStory();
  const told = stateAfter(story.set, story.events);
  fc.assert(
    fc.property(
      fc.shuffledSubarray(story.events, { minLength: story.events.length }),
      fc.nat(),
      (events, at) => {
        const again = events[at % events.length];
        t.deepEqual(stateAfter(story.set, again === undefined ? events : [...events, again]), told);
      },
    ),
    { seed: SEED, numRuns: 120 },
  );
});

test('Merge.offer() keeps little of what one account has waiting', (t) => {
  const set = newClusterset();
  const merge = new Merge(set.ledger());
  const east = set.cluster('east', 1);
  for (let version = 1; version <= 400; version += 1) {
    const slot = `s.${version % 64}`;
    merge.offer(subjectOf(east.account, slot), set.gateway(east, { version, slot }));
  }
  const size = merge.waiting.reduce((sum, { bytes }) => sum + bytes.length, 0);
  t.true(size > 100_000 && size <= 128 * 1024, `${size} bytes`);
  merge.offer(east.directory, east.bytes);
  t.deepEqual(merge.waiting, [], 'its certificate has come');
});

test('admit() answers random and mutated bytes with a refusal, never with an exception', (t) => {
  const { set, west, ledger, slot, first } = setUp();
  const revocation = signRevocation(set.membership, west.bytes, 'x', EPOCH);
  const places = [slot, west.directory, subjectOf(west.account, 'm'), 'mc.put.', '', 'mc.put.x.y'];
  const sources = [first, west.bytes, revocation, set.gateway(west, { version: 2 })];
  const mutated = fc
    .tuple(
      fc.constantFrom(...sources),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 }),
      fc.nat(2000),
    )
    .map(([source, edits, cut]) => {
      const bytes = Uint8Array.from(
        source.subarray(0, Math.max(1, source.length - (cut % 64 === 0 ? cut : 0))),
      );
      for (const [at, value] of edits) bytes[at % bytes.length] = value;
      return bytes;
    });
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 600 }), mutated),
      fc.constantFrom(...places),
      (bytes, subject) => {
        const verdict = admit(ledger, subject, bytes);
        const isKnown = [...sources].some((source) => Buffer.compare(source, bytes) === 0);
        if (!isKnown && verdict.outcome === 'accepted')
          t.fail(`accepted ${Buffer.from(bytes).toString('hex')}`);
        try {
          openBeacon(set.pins.root, bytes);
        } catch (error) {
          t.true(error instanceof Refused);
        }
      },
    ),
    { seed: SEED, numRuns: 3000 },
  );
  t.pass();
});

test('admit() judges signed headers and payloads of any shape without an exception', (t) => {
  const { set, west, ledger, slot } = setUp();
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue(), (extra, content) => {
      const header = { ...headerOf(set.gateway(west, { version: 2 })), ...extra };
      const payload = Buffer.from(JSON.stringify(content));
      const bytes = signStatement(
        'isthmus-record-v1',
        { ...header, size: payload.length },
        payload,
        west.key,
      );
      t.is(admit(ledger, slot, bytes).outcome, 'refused');
      const odd = signStatement('isthmus-certificate-v1', extra, payload, set.membership.key);
      t.is(admit(ledger, west.directory, odd).outcome, 'refused');
    }),
    { seed: SEED, numRuns: 500 },
  );
});

test('openCertificate() verifies the records of a thousand clusters in well under two seconds', (t) => {
  const set = newClusterset();
  const clusters = Array.from({ length: 1000 }, (_, at) => {
    const [high, low] = [Math.floor(at / 250), at % 250];
    return set.cluster(`c-${at}`, at + 1, {
      podCidrs: cidrsOf(`10.${at % 250}.${high * 64}.0/18`, `fd10:${at + 1}::/32`),
      serviceCidrs: cidrsOf(`172.${16 + high}.${low}.0/24`),
    });
  });
  const all = clusters.flatMap((cluster) => [
    { subject: cluster.directory, bytes: cluster.bytes },
    { subject: subjectOf(cluster.account, 'gw.0'), bytes: set.gateway(cluster) },
  ]);
  const merge = new Merge(set.ledger());
  const began = process.cpuUsage();
  for (const { subject, bytes } of all) merge.offer(subject, bytes);
  const first = process.cpuUsage(began);
  for (const { subject, bytes } of all) t.is(merge.offer(subject, bytes)[0]?.verdict.outcome, 'unchanged');
  const both = process.cpuUsage(began);
  t.is(merge.ledger.members.size, 1000);
  const ms = (usage: NodeJS.CpuUsage): number => (usage.user + usage.system) / 1000;
  t.log(
    `2000 statements: ${Math.round(ms(first))} ms; again, unchanged: ${Math.round(ms(both) - ms(first))} ms`,
  );
  t.true(ms(both) - ms(first) < ms(first) / 4, 'what has not changed is not verified again');
});

test('parseToken() reads what encodeToken() wrote, however a terminal wrapped it', (t) => {
  const token = newToken();
  const line = encodeToken(token);
  t.deepEqual(parseToken(line), token);
  t.deepEqual(parseToken(`  ${line.replaceAll(/.{76}/g, '$&\n  ')}\n`), token);
});

test('parseToken() tells cut off, altered, newer and foreign apart, and says what to do', (t) => {
  const line = encodeToken(newToken());
  const fault = (text: string): unknown => {
    const error = t.throws(() => parseToken(text), { instanceOf: TokenError }, text.slice(0, 40));
    t.regex(error.message, /^Cannot use the join token: .+\. (Copy|Make|Install) .*clusterctl/);
    return error.fault;
  };
  for (let length = 1; length < line.length; length += 1)
    t.is(fault(line.slice(0, length)), 'truncated', `${length}`);
  for (let at = line.indexOf('.', 20) + 1; at < line.length; at += 7) {
    const other = line[at] === 'A' ? 'B' : 'A';
    t.is(fault(`${line.slice(0, at)}${other}${line.slice(at + 1)}`), 'altered', `${at}`);
  }
  t.is(fault(`${line}x`), 'altered');
  t.is(fault(line.replace('join-1', 'join-2')), 'newer');
  for (const foreign of ['', 'hello', 'abcdef.0123456789abcdef', 'eyJhbGciOiJFUzI1NiJ9.e30.x']) {
    t.is(fault(foreign), 'foreign');
  }
  fc.assert(
    fc.property(fc.string(), (text) => t.true(t.throws(() => parseToken(text)) instanceof TokenError)),
    { seed: SEED, numRuns: 500 },
  );
});

test('checkToken() says when a token has expired or is for another cluster', (t) => {
  const token = newToken();
  const fault = (now: string, cluster?: string): unknown =>
    t.throws(() => checkToken(token, new Date(now), cluster), { instanceOf: TokenError }).fault;
  t.notThrows(() => checkToken(token, new Date('2026-01-01T00:59:59Z'), 'east'));
  t.is(fault('2026-01-01T01:00:00Z'), 'expired');
  t.is(fault('2026-01-01T00:00:00Z', 'west'), 'other-cluster');
});

test('pinRoot() refuses a delegation that differs in one bit', (t) => {
  const set = newClusterset();
  const { delegation } = set.membership;
  const west = set.cluster('west', 2);
  for (let at = 0; at < (delegation?.length ?? 0); at += 5) {
    const altered = Uint8Array.from(delegation ?? []);
    altered[at] = (altered[at] ?? 0) ^ 1;
    const bytes = signCertificate({ ...set.membership, delegation: altered }, west, EPOCH);
    const error = t.throws(() => openCertificate(pinRoot(set.pins.root.key), bytes), { instanceOf: Refused });
    t.is(error.code, 'untrusted-signer');
  }
});

type TestSet = ReturnType<typeof newClusterset>;

function newToken() {
  const set = newClusterset();
  return {
    urls: ['tls://broker.example:4222'],
    ca: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
    root: set.pins.root.key,
    brokerAccount: set.pins.brokerAccount,
    fabric4: set.pins.fabric.v4,
    id: 'k3v9',
    secret: randomBytes(32).toString('base64url'),
    jwt: 'a.b.c',
    seed: 'SUAB',
    cluster: set.cluster('east', 1).cluster,
    podCidrs: cidrsOf('10.1.0.0/16', 'fd10:1::/32'),
    serviceCidrs: cidrsOf(),
    expires: '2026-01-01T01:00:00.000Z',
  };
}

function headerOf(bytes: Uint8Array): Record<string, unknown> {
  return { ...openRecord(bytes).header };
}

/** The same payload under a changed header, signed again. */
function relabel(bytes: Uint8Array, key: SigningKey, changes: Record<string, unknown>): Uint8Array {
  const { payload } = openRecord(bytes).statement;
  return signStatement('isthmus-record-v1', { ...headerOf(bytes), ...changes }, payload, key);
}

function buried(set: TestSet, cluster: ReturnType<TestSet['cluster']>, version: number): Uint8Array {
  const place = { clusterset: set.pins.root.clusterset, cluster: cluster.cluster, account: cluster.account };
  return signRecord(
    { ...place, kind: 'gateway', slot: 'gw.0', schema: 1, epoch: 1, version },
    cluster.key,
    EPOCH,
  );
}

interface Event {
  readonly subject: string;
  readonly bytes: Uint8Array;
}

/** Joins, renewals, a departure and what follows it, a revocation by the root, records all along. */
function honestStory() {
  const set = newClusterset();
  const east = set.cluster('east', 1);
  const west = set.cluster('west', 2);
  const wider = set.cluster('west', 2, {
    key: west.key,
    serial: 10,
    podCidrs: cidrsOf('10.2.0.0/16', '10.12.0.0/16'),
  });
  const reborn = set.cluster('east', 1, { serial: 20 });
  const heir = set.cluster('heir', 5, { podCidrs: cidrsOf('10.3.0.0/17'), serial: 30 });
  const lost = set.cluster('lost', 3);
  const left = signDeparture(east.key, set.pins.root.clusterset, east.bytes, EPOCH);
  const revoked = signRevocation(set.root, lost.bytes, 'lost', EPOCH);
  const at = (cluster: typeof east, version: number, bytes = set.gateway(cluster, { version })): Event => ({
    subject: subjectOf(cluster.account, 'gw.0'),
    bytes,
  });
  const entry = (cluster: typeof east, bytes = cluster.bytes): Event => ({
    subject: cluster.directory,
    bytes,
  });
  const end = (cluster: typeof east, bytes: Uint8Array): Event => ({
    subject: subjectOf(set.pins.brokerAccount, `end.${cluster.account}`),
    bytes,
  });
  const before = [entry(east), at(east, 1), entry(west), at(west, 1), entry(lost), at(lost, 1), at(east, 2)];
  const between = [
    entry(wider),
    at(wider, 2),
    entry(east, left),
    end(east, left),
    entry(reborn),
    at(reborn, 1),
  ];
  const after = [
    entry(lost, revoked),
    end(lost, revoked),
    entry(heir),
    at(heir, 1),
    at(heir, 2, buried(set, heir, 2)),
  ];
  const events = [...before, ...between, ...after, at(wider, 3)];
  return { set, events };
}

/** Everything that the ledger believes, without the order in which it learnt it. */
function stateAfter(set: TestSet, events: readonly Event[]) {
  const { ledger, offer } = bind(new Merge(set.ledger()));
  for (const { subject, bytes } of events) offer(subject, bytes);
  const members = [...ledger.members.values()];
  return {
    members: members.map(({ cluster, digest }) => `${cluster} ${digest}`).sort(),
    records: members
      .flatMap(({ cluster }) =>
        ledger.recordsOf(cluster).map(({ slot, digest }) => `${cluster} ${slot} ${digest}`),
      )
      .sort(),
    ends: ledger.ends.map(({ digest }) => digest).sort(),
    revoked: ledger.revoked.map(({ cluster }) => cluster),
    directory: ledger.directoryDigest(),
  };
}

function bind(merge: Merge) {
  return { ledger: merge.ledger, offer: (subject: string, bytes: Uint8Array) => merge.offer(subject, bytes) };
}
