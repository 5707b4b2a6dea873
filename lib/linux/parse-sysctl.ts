// Kernel to us: `sysctl` output, and the two spellings of a key.
// This module is pure.

/**
 * The spelling with slashes, which a device name with dots survives: `net.ipv4.conf.eth0.100.rp_filter` is
 * `net/ipv4/conf/eth0.100/rp_filter`.
 */
export function slashKey(key: string): string {
  const device = /^(net)\.(ipv[46])\.(conf|neigh)\.(.+)\.([a-z0-9_]+)$/.exec(key);
  return device === null ? key.replaceAll('.', '/') : device.slice(1).join('/');
}

/** `sysctl key …` → value by key as asked. Keys that the kernel lacks are absent. */
export function parseSysctls(text: string, asked: readonly string[]): Readonly<Record<string, string>> {
  const printed = new Map<string, string>();
  for (const line of text.split('\n')) {
    const at = line.indexOf(' = ');
    if (at > 0) printed.set(line.slice(0, at), canonicalValue(line.slice(at + 3)));
  }
  return Object.fromEntries(
    asked.flatMap((key) => {
      const value = printed.get(printedKey(key));
      return value === undefined ? [] : [[key, value]];
    }),
  );
}

/** sysctl prints the dots of a device name as slashes. */
function printedKey(key: string): string {
  return slashKey(key).replace(/[./]/g, (mark) => (mark === '/' ? '.' : '/'));
}

/** Lists of numbers are separated by tabs in the kernel. */
export function canonicalValue(value: string): string {
  return value.trim().replace(/\s+/g, ' ');
}
