package kube

import (
	"k8s.io/client-go/rest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// NewClientOf is a client of an API server that a test runs.
func NewClientOf(config *rest.Config, controller gatewayv1.GatewayController) (*Client, error) {
	return newClient(config, managerOf(controller))
}

// References are the Secrets and ConfigMaps that an object refers to.
var References = references
