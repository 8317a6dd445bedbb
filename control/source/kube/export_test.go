package kube

// NewClientOf is a client of an API server that a test runs.
var NewClientOf = newClient
