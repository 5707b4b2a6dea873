// Reference pages that are made from the source, so that they cannot say anything else.
// This module is pure.

interface Entry {
  readonly text: string;
  readonly constants: readonly { readonly name: string; readonly value: string }[];
}

const ENTRY = /\/\*\* ([\s\S]*?) \*\/\n((?:export const \w+ = [^;]+;\n)+)/g;
const CONSTANT = /^export const (\w+) = ([^;]+);$/gm;

/** Constants with the comment that stands over them; one comment may stand over several. */
function entriesOf(source: string): readonly Entry[] {
  return Array.from(source.matchAll(ENTRY), ([, comment = '', block = '']) => ({
    text: comment.replaceAll(/\s*\n \* ?/g, ' '),
    constants: Array.from(block.matchAll(CONSTANT), ([, name = '', value = '']) => ({
      name,
      value: value.replace(/ as const$/, '').replaceAll(/\s+/g, ' '),
    })),
  }));
}

function row({ text, constants }: Entry): string {
  const names = constants.map(({ name }) => `\`${name}\``).join('<br>');
  const values = constants.map(({ value }) => `\`${value}\``).join('<br>');
  return `| ${names} | ${values} | ${text.replaceAll('|', '\\|')} |`;
}

/** `docs/reference/constants.md`, from the text of `lib/constants/mod.ts`. */
export function constantsPage(source: string): string {
  return `# Constants

Every number and name that meets the outside. This page is made from \`lib/constants/mod.ts\`.

| constant | value | what it is, and why this value |
| --- | --- | --- |
${entriesOf(source).map(row).join('\n')}
`;
}
