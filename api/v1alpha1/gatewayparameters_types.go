package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GatewayParameters say how Sluice places Gateways in a cluster. A GatewayClass
// refers to them by parametersRef, for all of its Gateways, and a Gateway by
// spec.infrastructure.parametersRef, for itself; what the Gateway's leave open,
// the class's say.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=gwp,categories=sluice,path=gatewayparameters,singular=gatewayparameters
// +kubebuilder:printcolumn:name="Service",type=string,JSONPath=`.spec.service.type`
// +kubebuilder:printcolumn:name="Traffic Policy",type=string,JSONPath=`.spec.service.externalTrafficPolicy`,priority=1
// +kubebuilder:printcolumn:name="Load Balancer Class",type=string,JSONPath=`.spec.service.loadBalancerClass`,priority=1
// +kubebuilder:printcolumn:name="Local Backends",type=boolean,JSONPath=`.spec.allowLocalBackends`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GatewayParameters struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec GatewayParametersSpec `json:"spec"`
}

// GatewayParametersSpec is what the user wants.
type GatewayParametersSpec struct {
	// Service is how the Gateway's Service looks.
	// +optional
	Service ServiceParameters `json:"service,omitzero"`

	// AllowLocalBackends lets Backend objects name what the proxy can reach and
	// the owner of a route cannot: loopback and link-local addresses, the
	// addresses of the proxy and of its node, and Unix sockets. Only the
	// parameters of a GatewayClass may say so.
	// +optional
	AllowLocalBackends *bool `json:"allowLocalBackends,omitempty"`
}

// ServiceParameters is how the Service looks that Sluice makes for a Gateway.
//
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type != 'ClusterIP' || !has(self.externalTrafficPolicy)",message="a Service of type ClusterIP has no externalTrafficPolicy"
// +kubebuilder:validation:XValidation:rule="!has(self.loadBalancerClass) || !has(self.type) || self.type == 'LoadBalancer'",message="only a Service of type LoadBalancer has a loadBalancerClass"
type ServiceParameters struct {
	// Type is LoadBalancer where nothing else is said.
	//
	// +optional
	// +kubebuilder:validation:Enum=LoadBalancer;NodePort;ClusterIP
	Type corev1.ServiceType `json:"type,omitempty"`

	// ExternalTrafficPolicy is Local for load balancers where nothing else is
	// said, which keeps the clients' addresses, and Cluster for node ports,
	// which then answer on each node.
	//
	// +optional
	// +kubebuilder:validation:Enum=Cluster;Local
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`

	// LoadBalancerClass names the implementation of the load balancer, such as
	// example.net/internal. A Service that is there already cannot take another one
	// before it has taken another type.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$`
	LoadBalancerClass *string `json:"loadBalancerClass,omitempty"`
}

// GatewayParametersList is a list of GatewayParameters.
//
// +kubebuilder:object:root=true
type GatewayParametersList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GatewayParameters `json:"items"`
}
