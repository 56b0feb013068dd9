// The server, by stdio and by HTTP, as the official TypeScript SDK's client (v2) sees it, in both eras of the protocol.
//
// Of the environment: MCP_SERVER (the program), CONTAINARIUM_SERVER_URL and CONTAINARIUM_JWT_TOKEN.

import assert from 'node:assert/strict';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const { MCP_SERVER, CONTAINARIUM_SERVER_URL, CONTAINARIUM_JWT_TOKEN } = process.env;
const ways = {
  stdio: () => new StdioClientTransport({ command: MCP_SERVER, env: { CONTAINARIUM_SERVER_URL, CONTAINARIUM_JWT_TOKEN } }),
  http: () =>
    new StreamableHTTPClientTransport(new URL('/mcp', CONTAINARIUM_SERVER_URL), {
      requestInit: { headers: { Authorization: `Bearer ${CONTAINARIUM_JWT_TOKEN}` } },
    }),
};
const modes = { legacy: 'legacy', auto: 'auto', pinned: { pin: '2026-07-28' } };

async function session(way, mode) {
  const username = `ts-${way}-${mode}`;
  const done = (what) => console.log(`  ${way.padEnd(5)} ${mode.padEnd(6)} ${what}`);
  const client = new Client(
    { name: 'test-mcp', version: '1' },
    { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode: modes[mode] } },
  );
  const person = { word: undefined, asked: 0 };
  client.setRequestHandler('elicitation/create', async ({ params }) => {
    person.asked += 1;
    if (person.word === undefined) return { action: 'decline' };
    const told = { string: person.word, boolean: true };
    const fields = Object.entries(params.requestedSchema.properties);
    return { action: 'accept', content: Object.fromEntries(fields.map(([name, field]) => [name, told[field.type]])) };
  });
  await client.connect(ways[way]());
  try {
    const text = (result) => result.content.map((block) => block.text).join('\n');
    const call = (name, args, options) => client.callTool({ name, arguments: args }, options);
    // The client holds an answer against the tool's own schema.
    const good = async (name, args = {}, options) => {
      const result = await call(name, args, options);
      assert.ok(!result.isError, text(result));
      assert.equal(typeof result.structuredContent, 'object');
      return result.structuredContent;
    };
    // Begins creates and cancels them; how many of them were undone. No half of one may be left.
    const cancelled = async () => {
      const cancel = new AbortController();
      const others = Array.from({ length: 8 }, (_, n) => `${username}-c${n}`);
      const options = { signal: cancel.signal, onprogress: () => cancel.abort() };
      await Promise.allSettled(others.map((other) => call('create_container', { username: other }, options)));
      let left = [];
      for (let [same, tries, before] = [0, 200, '']; same < 10; tries -= 1) {
        left = (await good('list_containers')).containers.filter((one) => others.includes(one.username));
        const now = left.map((one) => `${one.username} ${one.state}`).join();
        same = now === before && left.every((one) => one.state === 'running') ? same + 1 : 0;
        before = now;
        assert.ok(tries > 0, `what was cancelled comes to an end: ${now}`);
        await new Promise((wake) => setTimeout(wake, 100));
      }
      for (const one of left) await good('delete_container', { username: one.username, force: true });
      return others.length - left.length;
    };
    const bad = async (name, args, says) => {
      const result = await call(name, args);
      assert.equal(result.isError, true, text(result));
      assert.match(text(result), says);
    };
    const names = async () => (await good('list_containers')).containers.map((one) => one.username);

    const { tools } = await client.listTools();
    assert.ok(tools.length >= 14);
    assert.ok(tools.every((tool) => tool.inputSchema && tool.outputSchema && tool.annotations));
    done('lists tools');

    let signs = 0;
    await good('create_container', { username }, { onprogress: () => (signs += 1) });
    assert.ok(signs > 0, 'progress was told');
    assert.ok((await names()).includes(username));
    await good('get_container', { username });
    await good('get_system_info');
    done('makes and reads');

    await bad('create_container', { username }, new RegExp(username));
    await bad('get_container', { username, colour: 'red' }, /colour/);
    await assert.rejects(call('no_such_tool', {}), /no_such_tool/);
    done('errs usefully');

    const can = client.getServerCapabilities();
    if (can.resources) {
      for (const { uri } of (await client.listResources()).resources) {
        assert.ok((await client.readResource({ uri })).contents[0].text);
      }
      assert.ok((await client.listResourceTemplates()).resourceTemplates.length > 0);
      assert.ok((await client.readResource({ uri: `container://${username}` })).contents[0].text.includes(username));
      done('reads resources');
    }
    if (can.prompts) {
      const { prompts } = await client.listPrompts();
      assert.ok(prompts.some((one) => one.name === 'most_memory'));
      assert.ok((await client.getPrompt({ name: 'most_memory' })).messages.length > 0);
      done('gets prompts');
    }

    if (tools.some((tool) => tool.name === 'purge_container')) {
      for (const word of [undefined, `not-${username}`]) {
        person.word = word;
        const before = person.asked;
        await bad('purge_container', { username, force: true }, /./);
        assert.ok(person.asked > before, 'a person was asked');
        assert.ok((await names()).includes(username));
      }
      person.word = `${username}-container`;
      await good('purge_container', { username, force: true });
      done('purges only what a person confirms');
    } else {
      await good('delete_container', { username, force: true });
      done('deletes');
    }
    assert.ok(!(await names()).includes(username));

    // All of a few may be over before they can be cancelled; not again and again.
    let undone = 0;
    for (let round = 0; round < 5 && undone === 0; round += 1) undone = await cancelled();
    assert.ok(undone > 0, 'cancelled creates are undone');
    done('cancels creates');
  } finally {
    await client.close();
  }
}

const asked = process.argv.slice(2);
for (const way of asked.length > 0 ? asked : Object.keys(ways)) {
  for (const mode of Object.keys(modes)) await session(way, mode);
}
