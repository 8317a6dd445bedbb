package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ClientPolicy says how a Gateway, some of its listeners or a ListenerSet deal
// with clients: TLS, limits, timeouts, header fields and the proxies in front.
//
// Policies are not merged. For a listener the most specific policy holds as a
// whole: one with a sectionName before one for a whole ListenerSet, and that
// before one for a whole Gateway; of equals the older, then the first by name.
//
// Listeners of protocol HTTP that share an address and port are told apart only
// when a request has been read. What holds for them is the policy of the whole
// Gateway, of several Gateways that of the oldest; a policy with a sectionName
// or for a ListenerSet holds for an HTTP listener that has its port to itself.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:metadata:labels="gateway.networking.k8s.io/policy=Direct"
// +kubebuilder:resource:shortName=clp,categories=sluice,path=clientpolicies
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.targetRefs[0].kind`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.targetRefs[0].name`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.ancestors[0].conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClientPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user wants.
	// +required
	Spec ClientPolicySpec `json:"spec"`

	// Status is what Sluice made of it, for each target that is Sluice's.
	// +optional
	Status gatewayv1.PolicyStatus `json:"status,omitempty"`
}

// ClientPolicySpec is what the user wants. What is not set keeps its default.
//
// +kubebuilder:validation:XValidation:rule="self.targetRefs.all(t, t.kind == 'Gateway' && !has(t.sectionName)) || !(has(self.limits) && has(self.limits.connections)) && !(has(self.timeouts) && has(self.timeouts.handshake))",message="limits.connections and timeouts.handshake bound whole ports, so only a policy for whole Gateways may set them"
// +kubebuilder:validation:XValidation:rule="!(has(self.http3) && self.http3.enabled && has(self.tls) && has(self.tls.maxVersion) && self.tls.maxVersion == '1.2')",message="HTTP/3 needs TLS 1.3, which tls.maxVersion excludes"
type ClientPolicySpec struct {
	// TargetRefs are the Gateways and ListenerSets that the policy is about, in
	// its own namespace. With a sectionName it is about one listener.
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(t, t.group == 'gateway.networking.k8s.io' && t.kind in ['Gateway', 'ListenerSet'])",message="a target must be a Gateway or a ListenerSet of group gateway.networking.k8s.io"
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.kind == b.kind && a.name == b.name && (has(a.sectionName) ? a.sectionName : '') == (has(b.sectionName) ? b.sectionName : '')))",message="each target must be named once"
	TargetRefs []gatewayv1.LocalPolicyTargetReferenceWithSectionName `json:"targetRefs"`

	// TLS is how HTTPS listeners speak TLS.
	// +optional
	TLS *ClientTLS `json:"tls,omitempty"`

	// HTTP3 serves HTTP/3 too.
	// +optional
	HTTP3 *ClientHTTP3 `json:"http3,omitempty"`

	// Limits bound what a client may send or have under way.
	// +optional
	Limits *ClientLimits `json:"limits,omitempty"`

	// Timeouts bound how long a client may take.
	// +optional
	Timeouts *ClientTimeouts `json:"timeouts,omitempty"`

	// Headers changes the header fields of all requests and responses.
	// +optional
	Headers *ClientHeaders `json:"headers,omitempty"`

	// TrustedProxies are the addresses, in CIDR notation, of proxies in front of
	// the Gateway. The X-Forwarded fields and the request id that one of them
	// sends are believed; those of everybody else are replaced. The default is
	// to trust whom the program was started with, which is nobody unless told.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	TrustedProxies []CIDR `json:"trustedProxies,omitempty"`
}

// CIDR is a range of addresses, such as 192.0.2.0/24 or 2001:db8::/32.
//
// +kubebuilder:validation:MaxLength=43
// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="must be a range of addresses such as 192.0.2.0/24 or 2001:db8::/32"
type CIDR string

// ClientTLS is how HTTPS listeners speak TLS.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minVersion) || !has(self.maxVersion) || self.minVersion <= self.maxVersion",message="minVersion must not be above maxVersion"
// +kubebuilder:validation:XValidation:rule="!has(self.ciphers) || !has(self.minVersion) || self.minVersion != '1.3'",message="ciphers are those of TLS 1.2, which minVersion excludes"
type ClientTLS struct {
	// MinVersion is the least version of TLS that clients may speak. The default
	// is 1.2.
	// +optional
	MinVersion TLSVersion `json:"minVersion,omitempty"`

	// MaxVersion is the greatest one. The default is 1.3.
	// +optional
	MaxVersion TLSVersion `json:"maxVersion,omitempty"`

	// Ciphers are the cipher suites of TLS 1.2 that are offered, by their IANA
	// names. The default is all that may stand here, which is the intermediate
	// profile of Mozilla without DHE. Those of TLS 1.3 cannot be chosen.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=6
	Ciphers []CipherSuite `json:"ciphers,omitempty"`

	// ALPNProtocols are the protocols that are offered, the preferred one first.
	// The default is h2, http/1.1.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a == b))",message="each protocol must stand once"
	ALPNProtocols []ALPNProtocol `json:"alpnProtocols,omitempty"`
}

// TLSVersion is a version of TLS.
//
// +kubebuilder:validation:Enum="1.2";"1.3"
type TLSVersion string

// CipherSuite is a cipher suite of TLS 1.2 by its IANA name.
//
// +kubebuilder:validation:Enum=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
type CipherSuite string

// ALPNProtocol is a protocol that TLS negotiates (RFC 7301).
//
// +kubebuilder:validation:Enum=h2;"http/1.1"
type ALPNProtocol string

// ClientHTTP3 is about HTTP/3.
type ClientHTTP3 struct {
	// Enabled serves HTTP/3 on the UDP port with the number of an HTTPS
	// listener's, and tells clients so. For listeners of a ListenerSet it counts
	// where the policy for the whole Gateway, whose ports they are, enables it too.
	// The default is false.
	// +required
	Enabled bool `json:"enabled"`
}

// ClientLimits bound what a client may send or have under way.
type ClientLimits struct {
	// HeaderBytes is how large the header fields of a request may be, together.
	// The default is 61440.
	//
	// +optional
	// +kubebuilder:validation:Minimum=4096
	// +kubebuilder:validation:Maximum=262144
	HeaderBytes *int32 `json:"headerBytes,omitempty"`

	// HeaderFields is how many a request may have. The default is 100.
	//
	// +optional
	// +kubebuilder:validation:Minimum=16
	// +kubebuilder:validation:Maximum=1000
	HeaderFields *int32 `json:"headerFields,omitempty"`

	// Streams is how many requests one connection of HTTP/2 or HTTP/3 may have
	// under way. The default is 100.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Streams *int32 `json:"streams,omitempty"`

	// Connections is how many connections one address and port may have; where
	// Gateways share one, the least that they say. The default is 10000. Only a
	// policy for whole Gateways may set it.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Connections *int32 `json:"connections,omitempty"`
}

// ClientTimeouts bound how long a client may take.
type ClientTimeouts struct {
	// Handshake bounds the TLS handshake; where Gateways share a port, by the
	// least that they say. The default is 10s. Only a policy for whole Gateways
	// may set it.
	// +optional
	Handshake *ClientTimeout `json:"handshake,omitempty"`

	// Head bounds the head of a request, from its first byte. The default is 10s.
	// +optional
	Head *ClientTimeout `json:"head,omitempty"`

	// BodyIdle bounds a pause within a body, in sending and in receiving. The
	// default is 60s.
	// +optional
	BodyIdle *ClientTimeout `json:"bodyIdle,omitempty"`

	// Idle bounds the time between two requests of a connection. The default is
	// 75s.
	// +optional
	Idle *ClientTimeout `json:"idle,omitempty"`
}

// ClientTimeout is a duration between 100ms and 1h, such as 10s or 1m30s (GEP-2257).
//
// +kubebuilder:validation:Pattern=`^([0-9]{1,5}(h|m|s|ms)){1,4}$`
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('1h')",message="must be between 100ms and 1h"
type ClientTimeout string

// ClientHeaders changes header fields. It does so for all requests of a
// listener, whichever route they take.
type ClientHeaders struct {
	// Request changes requests before they are routed, so that matches see what
	// it sets.
	// +optional
	Request *gatewayv1.HTTPHeaderFilter `json:"request,omitempty"`

	// Response changes every response, those of Sluice itself included.
	// +optional
	Response *gatewayv1.HTTPHeaderFilter `json:"response,omitempty"`

	// ClientCertificate says what backends learn of the certificate that a
	// client has shown. With Forward they are told its identity in
	// X-Forwarded-Client-Cert; the default is to tell nothing. What clients send
	// in that field is always removed.
	// +optional
	ClientCertificate ClientCertificateHeader `json:"clientCertificate,omitempty"`
}

// ClientCertificateHeader says what backends learn of a client's certificate.
//
// +kubebuilder:validation:Enum=Forward
type ClientCertificateHeader string

// ClientCertificateForward sends the identity in X-Forwarded-Client-Cert.
const ClientCertificateForward ClientCertificateHeader = "Forward"

// ClientPolicyReasonSharedPort is the reason of a ClientPolicy that is not
// accepted because its HTTP listener cannot be told apart from others of the
// port before a request has been read.
const ClientPolicyReasonSharedPort = "SharedPort"

// ClientPolicyAffected is the type of the condition of Gateways and ListenerSets
// that ClientPolicies hold for (GEP-713), and PolicyAffected its reason.
const (
	ClientPolicyAffected = "sluice.dev/ClientPolicyAffected"
	ReasonPolicyAffected = "PolicyAffected"
)

// ClientPolicyList is a list of ClientPolicies.
//
// +kubebuilder:object:root=true
type ClientPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClientPolicy `json:"items"`
}
