// Package file is the source of objects for a process without an API server: it
// reads Kubernetes objects from YAML and JSON files, holds them to the rules that
// an API server would hold them to, and follows the files as they change.
//
// Custom resources (the Gateway API's experimental channel and Sluice's own kinds)
// are pruned, defaulted and validated by the API server's own code with the
// CustomResourceDefinitions embedded in the folder crds. Kinds of Kubernetes itself
// are decoded strictly and held to the rules in core_rules.go, because their
// validators are not published as a library. Every document is judged as if it were
// being created: what is accepted never depends on what was there before, so rules
// about transitions, such as immutable fields, do not apply.
//
// A bad document hurts only itself. Its object's last accepted version stays in
// force, a Diagnostic says where it is, what is wrong and what would be right, and
// everything else goes on.
//
// Reading is bounded, see limits.go. Validation needs far more memory than serving
// does, so a Source may do it in a child process that ends when it has been idle.
package file

//go:generate go run ./internal/embedcrds
