// That clients on the first TypeScript SDK, which know the older protocol only, still work.
//
// Of the environment: MCP_SERVER (the program), CONTAINARIUM_SERVER_URL and CONTAINARIUM_JWT_TOKEN.

import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const { MCP_SERVER, CONTAINARIUM_SERVER_URL, CONTAINARIUM_JWT_TOKEN } = process.env;
const ways = {
  stdio: () => new StdioClientTransport({ command: MCP_SERVER, env: { CONTAINARIUM_SERVER_URL, CONTAINARIUM_JWT_TOKEN } }),
  http: () =>
    new StreamableHTTPClientTransport(new URL('/mcp', CONTAINARIUM_SERVER_URL), {
      requestInit: { headers: { Authorization: `Bearer ${CONTAINARIUM_JWT_TOKEN}` } },
    }),
};

const asked = process.argv.slice(2);
for (const way of asked.length > 0 ? asked : Object.keys(ways)) {
  const username = `ts1-${way}`;
  const client = new Client({ name: 'test-mcp', version: '1' }, { capabilities: {} });
  await client.connect(ways[way]());
  const call = (name, args) => client.callTool({ name, arguments: args });
  assert.ok((await client.listTools()).tools.length >= 14);
  const made = await call('create_container', { username });
  assert.ok(!made.isError && made.structuredContent, JSON.stringify(made));
  assert.equal((await call('get_container', { username: 'nobody-at-all' })).isError, true);
  assert.ok(!(await call('delete_container', { username, force: true })).isError);
  await client.ping();
  await client.close();
  console.log(`  ${way.padEnd(5)} lists, makes, fails and deletes`);
}
