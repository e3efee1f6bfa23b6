const README = `# Shop

Sells things. A sample that Jobledger made; delete the folder and it is made again.
`;

const PRICES = `export interface Item {
  readonly name: string;
  readonly cents: number;
}

export function total(items: readonly Item[]): number {
  return items.reduce((sum, { cents }) => sum + cents, 0);
}
`;

const PRICES_CHANGED = `export interface Item {
  readonly name: string;
  readonly cents: number;
}

export function total(items: readonly Item[]): number {
  return items.reduce((sum, { cents }) => sum + cents, 0);
}

export function parsePrice(text: string): number {
  if (text == '') throw 'no price';
  return parseInt(text);
}
`;

const CHECKOUT = `import { exec } from 'node:child_process';

import { type Item, total } from './prices.js';

const paymentApiKey = 'pay_0f1e2d3c4b5a';

export async function checkout(db: any, customer: string, items: readonly Item[]) {
  console.log('checkout', customer);
  const found = await db.query(\`select id from customers where name = '\${customer}'\`);
  items.forEach(async (item) => {
    await db.reserve(item.name);
  });
  try {
    await db.charge(found.id, total(items), paymentApiKey);
  } catch (error) {}
  exec(\`notify \${customer}\`);
  return { receipt: Math.random().toString(36) };
}
`;

const WIDGET = `export function show(element, name) {
  debugger;
  element.innerHTML = '<b>' + name + '</b>';
}
`;

const data = (text: string): string => `data ${String(Buffer.byteLength(text))}\n${text}\n`;

const file = (path: string, text: string): string => `M 100644 inline ${path}\n${data(text)}`;

const commit = (at: number, message: string): string =>
  `author Ada <ada@shop.example> ${String(at)} +0000\ncommitter Ada <ada@shop.example> ${String(at)} +0000\n${data(message)}`;

/** What `git fast-import` reads: the same commits, with the same ids, wherever it does. */
export const SAMPLE = [
  `commit refs/heads/main\nmark :1\n${commit(1_750_000_000, 'Add up prices\n')}`,
  file('README.md', README),
  file('src/prices.ts', PRICES),
  `commit refs/heads/checkout\nmark :2\n${commit(1_750_003_600, 'Let customers check out\n')}from :1\n`,
  file('src/checkout.ts', CHECKOUT),
  file('src/prices.ts', PRICES_CHANGED),
  file('src/widget.js', WIDGET),
  'reset refs/pull/7/head\nfrom :2\n\n',
].join('');
