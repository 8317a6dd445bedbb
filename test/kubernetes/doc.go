// Package kubernetes tests Sluice in a real Kubernetes, the one of KUBECONFIG,
// where it is installed from its own chart and image in namespace sluice-system.
// ./run brings such a cluster up for as long as the tests run.
package kubernetes
