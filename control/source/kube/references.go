package kube

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/snapshot"
)

// certificateAuthority is the key of a ConfigMap under which the Gateway API has the
// certificates of authorities.
const certificateAuthority = "ca.crt"

// references are the Secrets and ConfigMaps that an object refers to, granted or
// not; object may be nil.
func references(object snapshot.Object) []snapshot.Key {
	switch o := object.(type) {
	case *gatewayv1.Gateway:
		all := tlsReferences(o.Namespace, o.Spec.TLS)
		for i := range o.Spec.Listeners {
			all = append(all, certificates(o.Namespace, o.Spec.Listeners[i].TLS)...)
		}
		return all
	case *gatewayv1.ListenerSet:
		var all []snapshot.Key
		for i := range o.Spec.Listeners {
			all = append(all, certificates(o.Namespace, o.Spec.Listeners[i].TLS)...)
		}
		return all
	case *gatewayv1.BackendTLSPolicy:
		var all []snapshot.Key
		for _, ref := range o.Spec.Validation.CACertificateRefs {
			all = refer(all, o.Namespace, snapshot.KindConfigMap, gatewayv1.ObjectReference{Group: ref.Group, Kind: ref.Kind, Name: ref.Name})
		}
		return all
	}
	return nil
}

// certificates are the Secrets of a listener.
func certificates(namespace string, tls *gatewayv1.ListenerTLSConfig) (all []snapshot.Key) {
	if tls == nil {
		return nil
	}
	for _, ref := range tls.CertificateRefs {
		all = refer(all, namespace, snapshot.KindSecret, explicit(ref))
	}
	return all
}

// tlsReferences are those of a whole Gateway: the certificate that it shows to
// backends, and the authorities that sign those of its clients.
func tlsReferences(namespace string, tls *gatewayv1.GatewayTLSConfig) (all []snapshot.Key) {
	if tls == nil {
		return nil
	}
	if tls.Backend != nil && tls.Backend.ClientCertificateRef != nil {
		all = refer(all, namespace, snapshot.KindSecret, explicit(*tls.Backend.ClientCertificateRef))
	}
	if tls.Frontend == nil {
		return all
	}
	validations := []*gatewayv1.FrontendTLSValidation{tls.Frontend.Default.Validation}
	for i := range tls.Frontend.PerPort {
		validations = append(validations, tls.Frontend.PerPort[i].TLS.Validation)
	}
	for _, validation := range validations {
		if validation == nil {
			continue
		}
		for _, ref := range validation.CACertificateRefs {
			all = refer(all, namespace, snapshot.KindConfigMap, ref)
		}
	}
	return all
}

// explicit is a reference with the kind that it has where it names none.
func explicit(ref gatewayv1.SecretObjectReference) gatewayv1.ObjectReference {
	full := gatewayv1.ObjectReference{Kind: gatewayv1.Kind(snapshot.KindSecret), Name: ref.Name, Namespace: ref.Namespace}
	if ref.Kind != nil {
		full.Kind = *ref.Kind
	}
	if ref.Group != nil {
		full.Group = *ref.Group
	}
	return full
}

// refer adds what is referred to, if it is of the kind.
func refer(all []snapshot.Key, namespace string, kind snapshot.Kind, ref gatewayv1.ObjectReference) []snapshot.Key {
	if ref.Group != "" || snapshot.Kind(ref.Kind) != kind {
		return all
	}
	if ref.Namespace != nil {
		namespace = string(*ref.Namespace)
	}
	return append(all, snapshot.Key{Kind: kind, Namespace: namespace, Name: string(ref.Name)})
}
