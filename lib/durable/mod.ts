// Small files that have to outlive a power cut. The one invariant: each is the old one or the new one, whatever happens in between.

export { readIfThere, replaceFile, syncDirectory } from './files.ts';
