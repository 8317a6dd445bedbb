// Package protocols holds the gateway, as a process of its own, to what others
// made to judge implementations of protocols: h2spec for HTTP/2, the interop
// tests of gRPC, and clients that people use.
package protocols
