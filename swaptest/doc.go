// Package swaptest holds the promise that a change of the configuration costs
// nobody a request. It runs the program as a person does, from files that are
// replaced one by one while traffic flows over real sockets, and counts what
// failed: nothing may.
//
// The traffic is meant to be cut if anything can cut it: connections that are
// kept alive, connections for one request, uploads and a download that outlive
// many changes, and WebSockets that are open from the first change to the end of
// the drain. The changes are those that people make: filters, weights, rules,
// endpoints, listeners, whole files, and the symbolic links of mounted ConfigMaps.
// Each is seen by a request before the next one is made.
//
// The rules by which an outcome counts as a failure are in load_test.go and
// visit_test.go; the changes are the list in changes_test.go.
package swaptest
