// What a log says last that explains why its program has ended.
// This module is pure.

/** One line for people: the last complaint, or the last thing that was said at all. */
export function lastWords(log: string): string {
  const lines = log
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(readLine);
  const last = lines.findLast((line) => line.isComplaint) ?? lines.at(-1);
  return last?.text ?? 'it said nothing';
}

interface Line {
  readonly text: string;
  readonly isComplaint: boolean;
}

/** A daemon logs JSON; what ends it, it writes as text. The frames of a stack and what Node adds explain nothing. */
function readLine(line: string): Line {
  const { level, message, error } = fieldsOf(line);
  if (typeof message !== 'string')
    return { text: line.trim(), isComplaint: /^[A-Za-z]/.test(line) && !/^(Node\.js v|file:)/.test(line) };
  const reason = isRecord(error) && typeof error['message'] === 'string' ? `: ${error['message']}` : '';
  return { text: `${message}${reason}`, isComplaint: level === 'error' || level === 'fatal' };
}

/** What a daemon says in one line; of what is no JSON, nothing. */
export function fieldsOf(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
