// A tree as text, drawn as tree(1) draws it.
// This module is pure.

import type { Tree } from '#topology';

/** One line a node, each ended by a newline. */
export function renderTree(tree: Tree): string {
  return `${tree.label}\n${renderChildren(tree.children, '')}`;
}

function renderChildren(children: readonly Tree[], indent: string): string {
  return children
    .map(({ label, children: below }, at) => {
      const isLast = at === children.length - 1;
      const deeper = `${indent}${isLast ? '   ' : '│  '}`;
      return `${indent}${isLast ? '└─' : '├─'} ${label}\n${renderChildren(below, deeper)}`;
    })
    .join('');
}
