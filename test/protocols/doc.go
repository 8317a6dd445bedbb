// Package protocols holds the gateway, as a process of its own, to what others
// made to judge implementations of protocols: h2spec for HTTP/2, the interop tests
// of gRPC, the conformance suite of Connect, sslscan and testssl.sh for TLS, and
// clients that people use; and to what attacks on HTTP/2 may cost.
package protocols
