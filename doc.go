// Package sluice is the root of Sluice, which implements the Kubernetes Gateway
// API in one program with its own data plane. It holds no code: the folders
// beside it are the rooms, docs/architecture.md is their plan, and the tests of
// this package hold the rules of the house.
package sluice
