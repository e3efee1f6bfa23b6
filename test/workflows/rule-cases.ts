/** One line each: what a rule finds on it, once, and what it leaves alone. */
type Case = Readonly<{
  extensions?: readonly string[];
  finds: readonly string[];
  leaves: readonly string[];
}>;

const TYPESCRIPT = ['ts', 'tsx'];

export const CASES: Readonly<Record<string, Case>> = {
  'no-eval': {
    finds: ['eval(text);', 'const f = new Function("a", body);'],
    leaves: ['evaluate(text);', 'page.eval(text);', 'const eval2 = 1;', '"eval(text)";'],
  },
  'no-debugger': { finds: ['debugger;'], leaves: ['"debugger";', 'const a = { debugger: 1 };'] },
  'no-console-log': {
    finds: ['console.log(1);', 'console.debug();', 'console.trace("here");'],
    leaves: ['console.error(1);', 'console.warn(1);', 'logger.log(1);'],
  },
  'no-loose-equality': {
    finds: ['a == 1;', 'a != b;', 'if (text == "") f();', 'a.b == undefined;'],
    leaves: ['a === 1;', 'a !== b;', 'a == null;', 'null != a;'],
  },
  'no-empty-catch': {
    finds: ['try { f() } catch (error) {}', 'try { f() } catch { }'],
    leaves: [
      'try { f() } catch (error) { g(error) }',
      'try { f() } catch { /* It is optional. */ }',
      'try { f() } finally {}',
    ],
  },
  'no-html-injection': {
    finds: [
      'element.innerHTML = html;',
      'a.b.innerHTML += `<b>${name}</b>`;',
      'element.outerHTML = "<b>" + name;',
      'element.insertAdjacentHTML("beforeend", html);',
      'document.write(html);',
    ],
    leaves: [
      'element.innerHTML = "";',
      'element.innerHTML = `<b></b>`;',
      'element.textContent = html;',
      'const a = element.innerHTML;',
      'stream.write(html);',
    ],
  },
  'no-shell-injection': {
    finds: [
      'exec(`rm ${path}`);',
      'execSync("rm " + path, options);',
      'child_process.exec(`ls ${path}`, done);',
    ],
    leaves: [
      'exec("ls");',
      'exec(`ls`);',
      'execSync("ls " + "-l");',
      'execFile("ls", [`${path}`]);',
      'regex.exec(`a${b}`);',
    ],
  },
  'no-hardcoded-secret': {
    finds: [
      'const password = "hunter2-and-more";',
      "const awsSecret = 'AKIA0123456789ABCDEF';",
      'const options = { apiKey: "sk_live_0123456789" };',
      'const options = { "client_secret": "0a1b2c3d4e5f" };',
      'config.accessToken = "ghp_0123456789abcdef";',
    ],
    leaves: [
      'const password = readPassword();',
      'const password = "";',
      'const passwordLabel = "Your password 1";',
      'const password = "change-me-1";',
      'const row = { secret: "[redacted]" };',
      'const apiKey = "short";',
      'const kind = { secret: "webhook-secret" };',
      'const token = process.env.TOKEN;',
    ],
  },
  'parse-int-without-radix': {
    finds: ['parseInt(text);', 'const a = Number.parseInt(b.c);'],
    leaves: ['parseInt(text, 10);', 'Number(text);', 'parseFloat(text);', 'list.map(parseInt);'],
  },
  'no-async-promise-executor': {
    finds: [
      'new Promise(async (resolve) => { resolve(await f()); });',
      'new Promise(async (resolve, reject) => resolve(1));',
      'new Promise(async function (resolve) { resolve(await f()); });',
    ],
    leaves: ['new Promise((resolve) => f(resolve));', 'new Task(async (resolve) => resolve());'],
  },
  'no-async-for-each': {
    finds: [
      'list.forEach(async (item) => { await f(item); });',
      'a.b?.forEach(async function (item) { await f(item); });',
    ],
    leaves: [
      'list.forEach((item) => f(item));',
      'await Promise.all(list.map(async (item) => f(item)));',
      'list.forEach(asyncThing);',
    ],
  },
  'no-throw-literal': {
    finds: ['throw "no";', 'throw `no ${a}`;', 'throw { code: 1 };', 'throw null;', 'throw 1;'],
    leaves: ['throw new Error("no");', 'throw error;', 'throw refused("no");'],
  },
  'no-new-buffer': {
    finds: ['new Buffer(10);', 'const a = new Buffer("a", "hex");'],
    leaves: ['Buffer.from("a");', 'Buffer.alloc(10);', 'new BufferList();'],
  },
  'no-disabled-tls': {
    finds: [
      'connect({ rejectUnauthorized: false });',
      'process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";',
      "process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = 0;",
      'options.rejectUnauthorized = false;',
    ],
    leaves: ['connect({ rejectUnauthorized: true });', 'connect({ rejectUnauthorized });'],
  },
  'no-predictable-token': {
    finds: [
      'const id = Math.random().toString(36).slice(2);',
      'const sessionToken = "s" + Math.random();',
      'const user = { csrfToken: hash(Math.random()) };',
      'this.nonce = Math.random();',
    ],
    leaves: ['const delay = Math.random() * 100;', 'const token = randomUUID();'],
  },
  'no-sql-injection': {
    finds: [
      'db.query(`select * from users where name = ${name}`);',
      'const text = "SELECT id FROM users WHERE name = \'" + name + "\'";',
      'run(`delete from users where id = ${id}`);',
      'run(`insert into users values (${id})`);',
    ],
    leaves: [
      'db.query("select * from users where name = $1", [name]);',
      'db.query(sql`select * from users where name = ${name}`);',
      'const text = `select ${count} items`;',
      'const text = "Update " + name;',
    ],
  },
  'no-weak-hash': {
    finds: ['createHash("md5");', "crypto.createHmac('SHA1', key);", 'crypto.createHash("sha1");'],
    leaves: ['createHash("sha256");', 'crypto.createHash(algorithm);'],
  },
  'no-compare-nan': {
    finds: ['a === NaN;', 'NaN != b;', 'a == Number.NaN;'],
    leaves: ['Number.isNaN(a);', 'const a = NaN;', 'a > NaN;'],
  },
  'no-assignment-in-condition': {
    finds: ['if (a = b) f();', 'while (a = next()) f();'],
    leaves: ['if (a === b) f();', 'while ((a = next())) f();', 'if (f((a = b))) g();', 'a = b;'],
  },
  'no-return-in-finally': {
    finds: [
      'function f() { try { g() } finally { return 1 } }',
      'function f() { try { g() } finally { if (a) { throw b } } }',
    ],
    leaves: [
      'function f() { try { return 1 } finally { g() } }',
      'function f() { try { g() } finally { list.map(() => { return 1 }) } }',
    ],
  },
  'no-focused-test': {
    finds: ['it.only("a", () => {});', 'describe.only("a", () => {});', 'test.only("a", f);'],
    leaves: ['it("a", () => {});', 'it.skip("a", () => {});', 'list.only(1);'],
  },
  'no-explicit-any': {
    extensions: TYPESCRIPT,
    finds: ['let a: any;', 'function f(a: any) {}', 'const a = b as any;', 'let a: Array<any>;'],
    leaves: ['let a: unknown;', 'const any = 1;', 'let a: Company;', '// any'],
  },
  'no-non-null-chain': {
    extensions: TYPESCRIPT,
    finds: ['a!.b!.c;', 'a.get(1)![0]!;', 'a!.f()!.g();'],
    leaves: ['a!.b;', 'a?.b?.c;', 'f(a!, b!);', 'a!.f(b!);'],
  },
  'no-ts-ignore': {
    extensions: TYPESCRIPT,
    finds: ['// @ts-ignore', '/* @ts-ignore */', '// @ts-nocheck'],
    leaves: ['// @ts-expect-error: the types are wrong', '// see ts-ignore', '"@ts-ignore";'],
  },
  'no-double-assertion': {
    extensions: TYPESCRIPT,
    finds: ['const a = b as unknown as C;', 'f(b as any as C);'],
    leaves: [
      'const a = b as C;',
      'const a = b as unknown;',
      'const a = <C>(b);'.replace('<C>', ''),
    ],
  },
};
