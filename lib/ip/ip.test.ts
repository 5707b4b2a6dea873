import { isIP } from 'node:net';
import test from 'ava';
import * as fc from 'fast-check';
import {
  addressAt,
  addressCidr,
  cidrOf,
  compare,
  contains,
  familyOf,
  firstAddress,
  firstOverlap,
  isAddress4,
  isAddress6,
  isCidr4,
  isCidr6,
  lastAddress,
  mapPrefix,
  merge,
  nextFree,
  offsetOf,
  overlaps,
  parseAddress,
  parseCidr,
  prefixOf,
  sorted,
  split,
  subtract,
} from '#lib/ip';
import type { Address, Cidr, Family } from '#lib/ip';

const FIXED = { seed: 473, numRuns: 400 };

// The slow, obvious side: two worlds of 256 addresses, one a family, and a set of addresses as a list of texts.
const WORLDS = { 4: '10.0.0.', 6: 'fd00::' } as const;
const WIDTH = { 4: 32, 6: 128 } as const;

function name(family: Family, at: number): Address {
  return parseAddress(family === 4 ? `${WORLDS[4]}${at}` : `${WORLDS[6]}${at.toString(16)}`);
}

interface Small {
  readonly family: Family;
  readonly start: number;
  readonly length: number;
  readonly cidr: Cidr;
}

const families = fc.constantFrom<Family>(4, 6);
const small = fc
  .record({ family: families, bits: fc.integer({ min: 0, max: 8 }), at: fc.integer({ min: 0, max: 255 }) })
  .map(({ family, bits, at }): Small => {
    const length = 1 << bits;
    const start = at - (at % length);
    return { family, start, length, cidr: parseCidr(`${name(family, at)}/${WIDTH[family] - bits}`) };
  });
const smalls = fc.array(small, { maxLength: 8 });

function members({ family, start, length }: Small): Address[] {
  return Array.from({ length }, (_, at) => name(family, start + at));
}

function union(list: readonly Small[]): Set<Address> {
  return new Set(list.flatMap((one) => members(one)));
}

/** All addresses of CIDRs that lie in the two worlds. */
function enumerate(cidrs: readonly Cidr[]): Set<Address> {
  return new Set(
    cidrs.flatMap((cidr) => [...split(cidr, WIDTH[familyOf(cidr)])].map((one) => firstAddress(one))),
  );
}

const texts = (list: readonly Small[]): Cidr[] => list.map(({ cidr }) => cidr);

function same(a: ReadonlySet<Address>, b: ReadonlySet<Address>): boolean {
  return a.size === b.size && a.isSubsetOf(b);
}

/** Sorted, disjoint, and no two halves of one block: what "the fewest" means. */
function isMinimal(cidrs: readonly Cidr[]): boolean {
  return cidrs.every((cidr, at) => {
    const next = cidrs[at + 1];
    if (next === undefined) return true;
    const whole = cidrOf(firstAddress(cidr), Math.max(0, prefixOf(cidr) - 1));
    const halves = prefixOf(cidr) === prefixOf(next) && contains(whole, next);
    return compare(cidr, next) < 0 && !overlaps(cidr, next) && !halves;
  });
}

const any4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((octets) => octets.join('.'));
const groups = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 });

/** RFC 5952 by the URL parser of the platform, which is somebody else's. */
function byUrl(text: string): string {
  return new URL(`http://[${text}]`).hostname.slice(1, -1);
}

test('parseAddress() writes IPv6 as RFC 5952 has it, whatever way it was written', (t) => {
  fc.assert(
    fc.property(groups, fc.boolean(), (list, upper) => {
      const plain = list.map((group) => group.toString(16).padStart(4, '0')).join(':');
      const text = upper ? plain.toUpperCase() : plain;
      if (list.slice(0, 5).every((group) => group === 0) && list[5] === 0xffff) return;
      t.is<string, string>(parseAddress(text), byUrl(text));
      t.is<string, string>(parseAddress(byUrl(text)), byUrl(text));
    }),
    FIXED,
  );
});

test('parseAddress() takes every dotted quad as it stands', (t) => {
  fc.assert(
    fc.property(any4, (text) => t.is<string, string>(parseAddress(text), text)),
    FIXED,
  );
});

test('parseAddress() takes nothing that the C library refuses', (t) => {
  const piece = fc.constantFrom(
    '0',
    '1',
    '01',
    '255',
    '256',
    'f',
    'ffff',
    '10000',
    '.',
    ':',
    '::',
    '%1',
    'x',
    ' ',
    '-',
    '/',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const text = pieces.join('');
      let taken = true;
      try {
        parseAddress(text);
      } catch (error) {
        taken = false;
        t.true(error instanceof SyntaxError);
      }
      if (taken) t.not(isIP(text), 0, text);
    }),
    { seed: 473, numRuns: 5000 },
  );
});

test('parseAddress() reads the forms that people write', (t) => {
  for (const [text, canonical] of [
    ['FE80::1', 'fe80::1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
    ['::', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['::1.2.3.4', '::102:304'],
  ] as const) {
    t.is<string, string>(parseAddress(text), canonical, text);
  }
});

test('parseAddress() refuses with the reason what others read in different ways', (t) => {
  for (const [text, reason] of [
    ['010.0.0.1', 'it has leading zeros, which some programs read as octal'],
    ['64:ff9b::10.0.0.01', 'it has leading zeros, which some programs read as octal'],
    ['0x7f.0.0.1', 'it is not four decimal numbers with dots between them'],
    ['127.1', 'it is not four decimal numbers with dots between them'],
    ['2130706433', 'it is not four decimal numbers with dots between them'],
    ['256.0.0.1', 'it is not an IP address'],
    ['fe80::1%eth0', 'it has a zone, which means something on one host only'],
    ['::ffff:10.0.0.1', 'it is IPv4-mapped IPv6, write it as IPv4'],
    ['::FFFF:a00:1', 'it is IPv4-mapped IPv6, write it as IPv4'],
    ['1::2::3', 'it is not an IP address'],
    [' 10.0.0.1', 'it has blanks around it'],
    ['10.0.0.1\n', 'it has blanks around it'],
    ['', 'it is empty'],
    ['10.0.0.1/32', 'it is not four decimal numbers with dots between them'],
    ['1'.repeat(100), 'it is too long for an IP address'],
  ] as const) {
    const error = t.throws(() => parseAddress(text), { instanceOf: SyntaxError });
    t.true(error.message.endsWith(`: ${reason}`), error.message);
  }
});

test('parseCidr() clears host bits', (t) => {
  t.is<string, string>(parseCidr('10.0.0.5/16'), '10.0.0.0/16');
  t.is<string, string>(parseCidr('FD10:1:0:0:1::/32'), 'fd10:1::/32');
  t.is<string, string>(parseCidr('255.255.255.255/0'), '0.0.0.0/0');
  t.is<string, string>(parseCidr('::1/128'), '::1/128');
});

test('parseCidr() refuses with the reason what is not one plain CIDR', (t) => {
  for (const [text, reason] of [
    ['10.0.0.0/08', 'its prefix length is not a plain decimal number'],
    ['10.0.0.0/', 'its prefix length is not a plain decimal number'],
    ['10.0.0.0/+8', 'its prefix length is not a plain decimal number'],
    ['10.0.0.0/8/8', 'its prefix length is not a plain decimal number'],
    ['10.0.0.0/255.0.0.0', 'its prefix length is not a plain decimal number'],
    ['10.0.0.0/33', 'its prefix length is more than 32'],
    ['::/129', 'its prefix length is more than 128'],
    ['10.0.0.0', 'it has no prefix length, write for example 10.0.0.0/16'],
    ['fe80::1%eth0/64', 'it has a zone, which means something on one host only'],
    ['::ffff:10.0.0.0/104', 'it is IPv4-mapped IPv6, write it as IPv4'],
    ['010.0.0.0/8', 'it has leading zeros, which some programs read as octal'],
    ['/8', 'it is empty'],
  ] as const) {
    t.throws(() => parseCidr(text), {
      instanceOf: SyntaxError,
      message: `Cannot parse CIDR "${text}": ${reason}`,
    });
  }
});

test('contains() never lets one family contain the other', (t) => {
  t.false(contains(parseCidr('0.0.0.0/0'), parseAddress('::1')));
  t.false(contains(parseCidr('::/0'), parseAddress('10.0.0.1')));
  t.false(overlaps(parseCidr('::/0'), parseCidr('0.0.0.0/0')));
});

test('isCidr4() and its sisters tell the families apart', (t) => {
  t.deepEqual([isCidr4(parseCidr('10.0.0.0/8')), isCidr6(parseCidr('10.0.0.0/8'))], [true, false]);
  t.deepEqual([isAddress4(parseAddress('::1')), isAddress6(parseAddress('::1'))], [false, true]);
});

test('contains() and overlaps() agree with sets of addresses', (t) => {
  fc.assert(
    fc.property(small, small, (a, b) => {
      const [as, bs] = [union([a]), union([b])];
      t.is(contains(a.cidr, b.cidr), bs.isSubsetOf(as));
      t.is(overlaps(a.cidr, b.cidr), !as.isDisjointFrom(bs));
      for (const address of bs) t.is(contains(a.cidr, address), as.has(address));
    }),
    FIXED,
  );
});

test('compare() orders by family, then number, then shorter prefix, and sorted() with it', (t) => {
  fc.assert(
    fc.property(smalls, (list) => {
      const slow = list.toSorted((a, b) => a.family - b.family || a.start - b.start || b.length - a.length);
      t.deepEqual(texts(list).sort(compare), texts(slow));
      t.deepEqual(sorted(texts(list)), texts(slow));
    }),
    FIXED,
  );
  const values = ['10.0.0.0', '9.255.255.255', '::', '10.0.0.0/8', '0.0.0.0/0'].map((text) =>
    text.includes('/') ? parseCidr(text) : parseAddress(text),
  );
  t.deepEqual(sorted(values).map(String), ['0.0.0.0/0', '9.255.255.255', '10.0.0.0/8', '10.0.0.0', '::']);
});

test('merge() keeps the addresses and is minimal', (t) => {
  fc.assert(
    fc.property(smalls, (list) => {
      const merged = merge(texts(list));
      t.true(same(enumerate(merged), union(list)));
      t.true(isMinimal(merged), merged.join(' '));
    }),
    FIXED,
  );
});

test('subtract() leaves exactly the addresses that were not taken away, and is minimal', (t) => {
  fc.assert(
    fc.property(smalls, smalls, (from, minus) => {
      const rest = subtract(texts(from), texts(minus));
      t.true(same(enumerate(rest), union(from).difference(union(minus))));
      t.true(isMinimal(rest), rest.join(' '));
    }),
    FIXED,
  );
});

test('subtract() takes one address out of everything in a hundred and twenty-eight pieces', (t) => {
  t.is(subtract([parseCidr('::/0')], [parseCidr('fd00::1/128')]).length, 128);
  t.deepEqual(subtract([parseCidr('::/0')], [parseCidr('0.0.0.0/0')]), [parseCidr('::/0')]);
});

test('firstOverlap() names a pair that overlaps, the first of the first list that has one', (t) => {
  fc.assert(
    fc.property(smalls, smalls, (as, bs) => {
      const a = as.find((one) => bs.some((other) => !union([one]).isDisjointFrom(union([other]))));
      const b = a && bs.find((other) => !union([a]).isDisjointFrom(union([other])));
      t.deepEqual(firstOverlap(texts(as), texts(bs)), a && b ? [a.cidr, b.cidr] : undefined);
    }),
    FIXED,
  );
});

test('split() cuts a CIDR into adjacent blocks of the prefix', (t) => {
  fc.assert(
    fc.property(small, fc.nat(8), (one, more) => {
      const prefix = Math.min(WIDTH[one.family], prefixOf(one.cidr) + more);
      const parts = [...split(one.cidr, prefix)];
      t.is(parts.length, 2 ** (prefix - prefixOf(one.cidr)));
      t.true(parts.every((part) => prefixOf(part) === prefix));
      t.deepEqual([...enumerate(parts)], members(one));
    }),
    FIXED,
  );
});

test('split() gives the first of very many without making the others', (t) => {
  const [first] = split(parseCidr('::/0'), 128);
  t.is<string | undefined, string>(first, '::/128');
  t.throws(() => split(parseCidr('10.0.0.0/16'), 8), { instanceOf: RangeError });
  t.throws(() => split(parseCidr('10.0.0.0/16'), 33), { instanceOf: RangeError });
});

test('nextFree() is the first of the split that overlaps nothing taken', (t) => {
  fc.assert(
    fc.property(small, smalls, fc.nat(8), (pool, taken, more) => {
      const prefix = Math.min(WIDTH[pool.family], prefixOf(pool.cidr) + more);
      const slow = [...split(pool.cidr, prefix)].find(
        (part) => !taken.some(({ cidr }) => overlaps(part, cidr)),
      );
      t.is(nextFree(pool.cidr, texts(taken), prefix), slow);
    }),
    FIXED,
  );
});

test('nextFree() steps over large holes at once', (t) => {
  t.is<string | undefined, string>(nextFree(parseCidr('::/0'), [parseCidr('::/1')], 128), '8000::/128');
  t.is(nextFree(parseCidr('10.0.0.0/8'), [parseCidr('0.0.0.0/0')], 24), undefined);
  t.is(
    nextFree(
      parseCidr('255.255.255.0/24'),
      [parseCidr('255.255.255.128/25'), parseCidr('255.255.255.0/32')],
      25,
    ),
    undefined,
  );
});

test('addressAt() and offsetOf() undo each other, and refuse what lies outside', (t) => {
  fc.assert(
    fc.property(small, (one) => {
      const all = members(one);
      t.deepEqual(
        all.map((_, at) => addressAt(one.cidr, BigInt(at))),
        all,
      );
      t.deepEqual(
        all.map((address) => offsetOf(one.cidr, address)),
        all.map((_, at) => BigInt(at)),
      );
      t.is<Address | undefined, Address | undefined>(firstAddress(one.cidr), all.at(0));
      t.is<Address | undefined, Address | undefined>(lastAddress(one.cidr), all.at(-1));
      t.throws(() => addressAt(one.cidr, BigInt(all.length)), { instanceOf: RangeError });
      t.throws(() => addressAt(one.cidr, -1n), { instanceOf: RangeError });
    }),
    FIXED,
  );
  t.throws(() => offsetOf(parseCidr('10.0.0.0/8'), parseAddress('11.0.0.0')), { instanceOf: RangeError });
  t.throws(() => offsetOf(parseCidr('::/0'), parseAddress('11.0.0.0')), { instanceOf: RangeError });
});

test('mapPrefix() keeps host bits and is undone by its reverse', (t) => {
  const [from, to] = [parseCidr('fd00:0:0:5::/64'), parseCidr('fd99::/64')];
  t.is<string, string>(mapPrefix(parseAddress('fd00:0:0:5::1:2'), from, to), 'fd99::1:2');
  fc.assert(
    fc.property(small, fc.nat(255), (one, at) => {
      const other = cidrOf(name(one.family, at), prefixOf(one.cidr));
      members(one).forEach((address, offset) => {
        const mapped = mapPrefix(address, one.cidr, other);
        t.is(offsetOf(other, mapped), BigInt(offset));
        t.is(mapPrefix(mapped, other, one.cidr), address);
      });
    }),
    { seed: 473, numRuns: 50 },
  );
  t.throws(() => mapPrefix(parseAddress('10.0.0.1'), parseCidr('10.0.0.0/16'), parseCidr('10.0.0.0/17')), {
    instanceOf: RangeError,
  });
});

test('cidrOf() and addressCidr() make a block of an address', (t) => {
  t.is<string, string>(cidrOf(parseAddress('10.1.2.3'), 20), '10.1.0.0/20');
  t.is<string, string>(addressCidr(parseAddress('10.1.2.3')), '10.1.2.3/32');
  t.is<string, string>(addressCidr(parseAddress('fd00::1')), 'fd00::1/128');
  t.throws(() => cidrOf(parseAddress('10.1.2.3'), 33), {
    message: 'Cannot use prefix length 33: it is not between 0 and 32',
  });
});
