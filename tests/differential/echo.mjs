// Node's own server, which answers every request with what it read; see peers.py.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const digest = (piece) => createHash('sha256').update(piece).digest('hex').slice(0, 32);

const server = createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const body = Buffer.concat(pieces);
    let fields = '';
    for (let i = 0; i < request.rawHeaders.length; i += 2)
      fields += `${request.rawHeaders[i].toLowerCase()}:${request.rawHeaders[i + 1]}\n`;
    response.writeHead(200, {
      'X-Method': request.method,
      'X-Target': request.url,
      'X-Length': body.length,
      'X-Digest': digest(body),
      'X-Fields': digest(Buffer.from(fields, 'latin1')),
      'Content-Length': 0,
    });
    response.end();
  });
});
server.listen(Number(process.argv[2]), '127.0.0.1');
