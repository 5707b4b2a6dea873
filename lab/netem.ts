// What a bad line does to packets, in the words of the kernel's network emulator (netem).
// This module is pure.

/** Of a line, one way. What is left out is as on a good line. */
export interface Impairment {
  readonly delayMs?: number;
  /** The delay varies evenly by as much, up and down; packets may overtake each other by it. */
  readonly jitterMs?: number;
  /** Each packet by itself. */
  readonly lossPercent?: number;
  readonly duplicatePercent?: number;
  /** So many packets skip the delay, and so overtake others: there has to be one. */
  readonly reorderPercent?: number;
}

/** What may be under way at once: at netem's own 1,000, a delayed fast line would lose packets that nobody meant to lose. */
const LIMIT = 100_000;

const GOOD = { delayMs: 0, jitterMs: 0, lossPercent: 0, duplicatePercent: 0, reorderPercent: 0 } as const;

/** @returns what `tc qdisc` takes behind `netem`. @throws {RangeError} if it cannot be so */
export function netemWords(impairment: Impairment): readonly string[] {
  const line = { ...GOOD, ...impairment };
  const refusal = findRefusal(line);
  if (refusal !== undefined) throw new RangeError(`Cannot impair a line: ${refusal}`);
  const { delayMs, jitterMs } = line;
  return [
    'limit',
    String(LIMIT),
    ...(delayMs > 0 ? ['delay', `${delayMs}ms`, `${jitterMs}ms`] : []),
    ...percent('loss', line.lossPercent),
    ...percent('duplicate', line.duplicatePercent),
    ...percent('reorder', line.reorderPercent),
  ];
}

/** Why no line is like that, if so. */
function findRefusal(line: Required<Impairment>): string | undefined {
  const { delayMs, jitterMs, lossPercent, duplicatePercent, reorderPercent } = line;
  const shares = Object.entries({ lossPercent, duplicatePercent, reorderPercent });
  const wrong = shares.find(([, value]) => !(value >= 0 && value <= 100));
  if (wrong !== undefined) return wrong.join(' is ');
  const isDelay = delayMs >= 0 && jitterMs >= 0 && jitterMs <= delayMs;
  if (!isDelay) return `a delay of ${delayMs} ms cannot vary by ${jitterMs} ms`;
  return reorderPercent > 0 && delayMs === 0 ? 'only packets that skip a delay overtake others' : undefined;
}

function percent(word: string, value: number): readonly string[] {
  return value > 0 ? [word, `${value}%`] : [];
}
