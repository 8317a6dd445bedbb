package translate

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/attach"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// authorityKey is the key of a ConfigMap that holds certificates of authorities.
const authorityKey = "ca.crt"

// trust is the certificates of authorities that several references name, as far as
// they can be had, and what is wrong with the others.
type trust struct {
	authorities []config.TrustBundle
	// names is how long the names of these authorities are, in bytes.
	names int
	// grants are the ReferenceGrants that the references lean on.
	grants   []snapshot.Key
	problems []problem
}

// read finds what one reference names. Whether it is granted is asked before
// whether it exists: who may not refer to an object must not learn of it.
// invalidKind is the reason where it names another kind than ConfigMap.
func (t *trust) read(r *reader, field string, from attach.From, ref gatewayv1.ObjectReference, invalidKind string) {
	to := attach.To{Group: ref.Group, Kind: ref.Kind, Namespace: from.Namespace, Name: string(ref.Name)}
	if ref.Namespace != nil {
		to.Namespace = string(*ref.Namespace)
	}
	if groupKind(to.Group, to.Kind) != string(snapshot.KindConfigMap) {
		t.problems = append(t.problems, problem{
			reason:  invalidKind,
			field:   field,
			message: fmt.Sprintf("Sluice takes no certificates of authorities from objects of kind %s", groupKind(to.Group, to.Kind)),
			fix:     "refer to a ConfigMap with the key " + authorityKey,
		})
		return
	}
	if to.Namespace != from.Namespace {
		grant := attach.Granted(r, from, to)
		if grant == nil {
			t.problems = append(t.problems, notGranted(field, from, to))
			return
		}
		t.grants = append(t.grants, snapshot.KeyOf(grant))
	}
	bundle := r.bundle(to.Namespace, to.Name)
	if bundle.wrong != "" {
		t.problems = append(t.problems, problem{
			reason:  string(gatewayv1.ListenerReasonInvalidCACertificateRef),
			field:   field,
			message: fmt.Sprintf("ConfigMap %s/%s %s", to.Namespace, to.Name, bundle.wrong),
			fix:     bundle.fix,
		})
		return
	}
	t.authorities = append(t.authorities, bundle.content)
	t.names += bundle.names
}

// bundle is what a ConfigMap holds of authorities.
type bundle struct {
	content config.TrustBundle
	// names is how long the names of the authorities are, as clients are told them.
	names int
	// wrong says why it is of no use, and fix what to do; empty if it is.
	wrong, fix string
}

// bundle reads the certificates of authorities in a ConfigMap. Many policies may
// trust the same ones, so what has been parsed is kept as long as the object is
// the same.
func (r *reader) bundle(namespace, name string) bundle {
	key := snapshot.Key{Kind: snapshot.KindConfigMap, Namespace: namespace, Name: name}
	object := snapshot.Get[*corev1.ConfigMap](r, namespace, name)
	if object == nil {
		return bundle{wrong: "does not exist", fix: "write the name of an existing ConfigMap, or create it"}
	}
	if known, ok := r.bundles[key]; ok {
		return known
	}
	next := bundle{content: config.TrustBundle{Name: fmt.Sprintf("configmap/%s/%s", namespace, name)}}
	next.content.PEM = []byte(object.Data[authorityKey])
	if len(next.content.PEM) == 0 {
		next.content.PEM = object.BinaryData[authorityKey]
	}
	var err error
	if next.names, err = parseAuthorities(next.content.PEM); err != nil {
		next.wrong, next.fix = err.Error(), fmt.Sprintf("write certificates of authorities in PEM to its key %s", authorityKey)
	}
	r.bundles[key] = next
	return next
}

// parseAuthorities checks certificates of authorities and says how long their names
// are.
func parseAuthorities(text []byte) (names int, err error) {
	switch {
	case len(text) == 0:
		return 0, fmt.Errorf("has nothing under the key %s", authorityKey)
	case len(text) > config.MaxTrustBundle:
		return 0, fmt.Errorf("has more than %d KiB under the key %s", config.MaxTrustBundle>>10, authorityKey)
	}
	count := 0
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		count++
		authority, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return 0, fmt.Errorf("has a malformed certificate, number %d under the key %s: %w", count, authorityKey, err)
		}
		names += len(authority.RawSubject) + 2 // with its length
	}
	if count == 0 {
		return 0, fmt.Errorf("has no certificate in PEM under the key %s", authorityKey)
	}
	return names, nil
}
