package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Backend names endpoints that no Service stands for: addresses outside of a
// cluster, hostnames that are resolved again as their records expire, and Unix
// sockets. A route refers to it by a backendRef with group sluice.dev and kind Backend.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=be,categories=sluice
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Backend struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user wants.
	// +required
	Spec BackendSpec `json:"spec"`

	// Status is what Sluice made of it.
	// +optional
	Status BackendStatus `json:"status,omitempty"`
}

// BackendSpec lists the endpoints of a Backend.
type BackendSpec struct {
	// Endpoints are the places that requests may go to; they share the load equally.
	// An empty list is a backend without endpoints: requests to it are answered with 503.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Endpoints []BackendEndpoint `json:"endpoints,omitempty"`
}

// BackendEndpoint is one place that requests may go to.
//
// +kubebuilder:validation:XValidation:rule="[has(self.ip), has(self.fqdn), has(self.unix)].exists_one(set, set)",message="exactly one of ip, fqdn and unix must be set"
type BackendEndpoint struct {
	// IP is an address and a port.
	// +optional
	IP *IPEndpoint `json:"ip,omitempty"`

	// FQDN is a hostname and a port. The name is resolved again when its records expire;
	// every address that it resolves to is an endpoint.
	// +optional
	FQDN *FQDNEndpoint `json:"fqdn,omitempty"`

	// Unix is a stream socket in the file system of the proxy.
	// +optional
	Unix *UnixEndpoint `json:"unix,omitempty"`
}

// IPEndpoint is an IP address and a port.
type IPEndpoint struct {
	// Address is an IPv4 or IPv6 address, such as 192.0.2.1 or 2001:db8::1.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="must be an IPv4 or IPv6 address"
	Address string `json:"address"`

	// +required
	Port Port `json:"port"`
}

// FQDNEndpoint is a hostname and a port.
type FQDNEndpoint struct {
	// Hostname is a DNS name in lower case, without a trailing dot.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Hostname string `json:"hostname"`

	// +required
	Port Port `json:"port"`
}

// UnixEndpoint is a Unix domain stream socket.
type UnixEndpoint struct {
	// Path is the absolute path of the socket. 107 bytes are what the kernel's
	// sockaddr_un holds beside its closing zero.
	//
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=107
	// +kubebuilder:validation:Pattern=`^/[^\x00]+$`
	Path string `json:"path"`
}

// Port is a TCP or UDP port.
//
// +kubebuilder:validation:Minimum=1
// +kubebuilder:validation:Maximum=65535
type Port int32

// BackendConditionAccepted is the type of the condition that says whether the
// Backend is served as written.
const BackendConditionAccepted = "Accepted"

// BackendReasonLocalEndpoint is the reason of a Backend that is not accepted
// because an endpoint is one that only the proxy reaches.
const BackendReasonLocalEndpoint = "LocalEndpoint"

// BackendStatus is what Sluice made of a Backend.
type BackendStatus struct {
	// Conditions hold "Accepted".
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BackendList is a list of Backends.
//
// +kubebuilder:object:root=true
type BackendList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Backend `json:"items"`
}
