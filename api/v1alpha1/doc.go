// Package v1alpha1 holds Sluice's own kinds, API group sluice.dev, version v1alpha1.
//
// The deep copies beside the types and the CustomResourceDefinitions in deploy/crds
// are generated from them.
//
// +kubebuilder:object:generate=true
// +groupName=sluice.dev
package v1alpha1

//go:generate go tool controller-gen object paths=.
//go:generate go tool controller-gen crd paths=. output:crd:dir=../../deploy/crds
