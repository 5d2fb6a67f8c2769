// See start.
'use strict';

const http = require('http');
const net = require('net');

const BODY = 'x'.repeat(150);

function answer(response) {
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': BODY.length });
  response.end(BODY);
}

const server = http.createServer((request, response) => {
  if (request.url !== '/slow') return answer(response);
  const gate = net.connect('gate');
  gate.write('GET /slow HTTP/1.0\r\n\r\n');
  gate.resume();
  gate.on('close', () => answer(response));
});
const [, , manner] = process.argv;
server.keepAliveTimeout = manner === 'hasty' ? 1000 : 300000;
server.listen(8080, '127.0.0.1', 1024);

if (manner !== 'careless') {
  process.on('SIGTERM', () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    // A connection whose last answer is written later is idle only then.
    setInterval(() => server.closeIdleConnections(), 20).unref();
  });
}
