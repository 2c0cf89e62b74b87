// Preloaded into Node programs by "sandbox exec --intercept", since Node 20 and older heed no proxy variables.
//
// A connection to port 443 of a host of the platform goes to the sandbox instead. The TLS code of the program knows
// nothing of this: it names the original host in the handshake, by which the sandbox chooses its certificate, and
// checks the certificate against that name. Every connection to another host fails, unless the host is this machine.
//
// All clients (http, https, http2, fetch, undici, axios and so on) connect through net.Socket.prototype.connect, so
// this is the only method that is replaced. Node preloads this file into worker threads and child processes, too.

"use strict";

const net = require("node:net");

// Without this variable, as in a process whose environment was cut down, every host but this machine is refused.
const { hosts = [], port = 0, proxy = 0 } = JSON.parse(process.env.VOICECTL_INTERCEPT || "{}");
const THIS_MACHINE = "127.0.0.1";

const loopback = new net.BlockList();
loopback.addSubnet("127.0.0.0", 8);
loopback.addAddress("::1", "ipv6");

const { connect } = net.Socket.prototype;

net.Socket.prototype.connect = function (...args) {
  const [options, listener] = Array.isArray(args[0]) ? args[0] : net._normalizeArgs(args);
  const host = String(options.host || "localhost").toLowerCase();
  if (options.path || isThisMachine(host)) return connect.apply(this, args);
  if (!hosts.includes(host) || Number(options.port) !== 443) return refuse(this, host, options.port);
  return connect.call(this, { ...options, host: THIS_MACHINE, port }, listener ?? undefined);
};

function isThisMachine(host) {
  return host === "localhost" || loopback.check(host, net.isIPv6(host) ? "ipv6" : "ipv4");
}

/** Let a connection fail once the proxy, which logs it, has refused the same connection. */
function refuse(socket, host, port) {
  const target = `${net.isIPv6(host) ? `[${host}]` : encodeURIComponent(host)}:${port}`;
  const reason = "not a host of the platform on port 443";
  const error = new Error(`The voicectl sandbox refused a connection to ${target}: ${reason}`);
  Object.assign(error, { code: "ECONNREFUSED", syscall: "connect", address: host, port });

  const request = new net.Socket();
  const fail = () => {
    request.destroy();
    socket.destroy(error);
  };
  request.on("error", fail).on("data", fail).on("close", fail);
  connect.call(request, proxy, THIS_MACHINE);
  request.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
  socket.connecting = true; // as if it were about to connect, so that the program's writes wait
  return socket;
}
