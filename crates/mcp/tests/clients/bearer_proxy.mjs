// For the conformance suite, which can send no header of its own: passes every request on to CONTAINARIUM_SERVER_URL with
// CONTAINARIUM_JWT_TOKEN added, and everything else, Host and Origin not least, as it came. Prints its own address.

import http from 'node:http';

const { hostname, port } = new URL(process.env.CONTAINARIUM_SERVER_URL);
const authorization = `Bearer ${process.env.CONTAINARIUM_JWT_TOKEN}`;

const proxy = http.createServer((request, response) => {
  const { method, url: path } = request;
  const headers = [...request.rawHeaders, 'Authorization', authorization];
  const onward = http.request({ hostname, port, method, path, headers, setHost: false }, (answer) => {
    response.writeHead(answer.statusCode, answer.rawHeaders);
    response.flushHeaders();
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  onward.on('error', () => response.destroy());
  response.on('close', () => onward.destroy());
  request.pipe(onward);
});
proxy.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${proxy.address().port}`));
