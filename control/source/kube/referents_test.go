package kube_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/kube"
)

// listens is a Gateway with a listener for each Secret.
func listens(name string, secrets ...string) *gatewayv1.Gateway {
	gateway := &gatewayv1.Gateway{ObjectMeta: named("shop", name)}
	for i, secret := range secrets {
		gateway.Spec.Listeners = append(gateway.Spec.Listeners, gatewayv1.Listener{
			Name: gatewayv1.SectionName(fmt.Sprint("l", i)),
			TLS:  &gatewayv1.ListenerTLSConfig{CertificateRefs: []gatewayv1.SecretObjectReference{{Name: gatewayv1.ObjectName(secret)}}},
		})
	}
	return gateway
}

func secret(name, content string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: named("shop", name), Data: map[string][]byte{corev1.TLSCertKey: []byte(content)}}
}

func secretKey(name string) snapshot.Key {
	return snapshot.Key{Kind: snapshot.KindSecret, Namespace: "shop", Name: name}
}

// trusts is a policy that trusts the authority in each ConfigMap.
func trusts(name string, authorities ...string) *gatewayv1.BackendTLSPolicy {
	policy := &gatewayv1.BackendTLSPolicy{ObjectMeta: named("shop", name)}
	for _, authority := range authorities {
		policy.Spec.Validation.CACertificateRefs = append(policy.Spec.Validation.CACertificateRefs,
			gatewayv1.LocalObjectReference{Kind: "ConfigMap", Name: gatewayv1.ObjectName(authority)})
	}
	return policy
}

func authority(name, content string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: named("shop", name), Data: map[string]string{"ca.crt": content}}
}

func authorityKey(name string) snapshot.Key {
	return snapshot.Key{Kind: snapshot.KindConfigMap, Namespace: "shop", Name: name}
}

func (w *world) untilAuthority(name, content string) {
	w.t.Helper()
	w.until(fmt.Sprintf("ConfigMap %s to be %q", name, content), func() bool {
		m, ok := w.object(authorityKey(name)).(*corev1.ConfigMap)
		return content == "" && !ok || ok && m.Data["ca.crt"] == content
	})
}

// content is what the source handed on of a Secret.
func (w *world) content(name string) string {
	if s, ok := w.object(secretKey(name)).(*corev1.Secret); ok {
		return string(s.Data[corev1.TLSCertKey])
	}
	return ""
}

func (w *world) untilContent(name, content string) {
	w.t.Helper()
	w.until(fmt.Sprintf("Secret %s to be %q", name, content), func() bool { return w.content(name) == content })
}

func TestSecretsFollowWhatRefersToThem(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		a := secret("a", "1")
		a.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
		a.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: "{}"}
		a.Data["token"] = []byte("for nobody")
		server.put(a, secret("other", "1"), listens("gw", "a", "late"))
		w := follow(t, server)
		w.untilFirst()
		got, ok := w.object(secretKey("a")).(*corev1.Secret)
		if !ok || w.content("a") != "1" || got.ManagedFields != nil || got.Annotations != nil || len(got.Data) != 1 {
			t.Errorf("the first update has of the Secret: %v", got)
		}

		server.put(secret("a", "2"))
		w.untilContent("a", "2")
		server.put(secret("late", "1"))
		w.untilContent("late", "1")
		server.remove(secretKey("late"))
		w.untilContent("late", "")

		set := &gatewayv1.ListenerSet{ObjectMeta: named("shop", "set")}
		set.Spec.Listeners = []gatewayv1.ListenerEntry{{TLS: listens("", "other").Spec.Listeners[0].TLS}}
		server.put(set)
		w.untilContent("other", "1")

		// Two refer to it; one ceases to.
		server.put(listens("second", "a"))
		server.remove(snapshot.KeyOf(listens("gw")))
		w.until("the end of the Gateway", func() bool { return w.object(snapshot.KeyOf(listens("gw"))) == nil })
		if w.content("a") != "2" {
			t.Error("a Secret that is still referred to is forgotten")
		}
		server.compact() // All are listed again.
		time.Sleep(time.Minute)
		server.remove(snapshot.KeyOf(listens("second")))
		w.untilContent("a", "")
		if n := server.asked("get secrets"); n != 6 {
			t.Errorf("%d times a Secret was read, want 6: a twice, late before, when and after it was there, other once", n)
		}
	})
}

func TestGatewayArrivesWithItsSecrets(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(secret("a", "1"), secret("b", "1"))
		w := follow(t, server)
		w.untilFirst()
		for _, step := range []struct {
			gateway    *gatewayv1.Gateway
			here, gone string
		}{
			{listens("gw", "a"), "a", ""},
			{listens("gw", "b"), "b", "a"},
			{listens("gw", "a"), "a", "b"},
		} {
			time.Sleep(time.Minute)
			before := w.count()
			step.gateway.Generation = int64(before) + 10
			server.put(step.gateway)
			w.until("the Gateway", func() bool { return w.count() > before })
			var changed []string
			for _, c := range w.updates[before] {
				sign := "+"
				if c.Object == nil {
					sign = "-"
				}
				changed = append(changed, sign+c.Key.Name)
			}
			slices.Sort(changed)
			want := []string{"+" + step.here, "+gw"}
			if step.gone != "" {
				want = append(want, "-"+step.gone)
			}
			if !slices.Equal(changed, want) {
				t.Errorf("one update has %v, want %v", changed, want)
			}
		}
	})
}

func TestSecretThatDoesNotComeHoldsTheRestForAMoment(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(secret("a", "1"))
		w := follow(t, server)
		w.untilFirst()
		release := server.stall("get secrets")
		start := time.Now()
		server.put(listens("gw", "a"))
		w.until("the Gateway", func() bool { return w.object(snapshot.KeyOf(listens("gw"))) != nil })
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("the Gateway came after %v", took)
		}
		close(release)
		w.untilContent("a", "1")
	})
}

func TestFirstUpdateWaitsForAllSecrets(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(secret("a", "1"), listens("gw", "a"))
		release := server.stall("get secrets")
		w := follow(t, server)
		time.Sleep(20 * time.Second)
		close(release)
		w.untilFirst()
		if w.content("a") != "1" || len(w.updates[0]) != 2 {
			t.Errorf("the first update is %v", w.updates[0])
		}
	})
}

func TestSecretThatIsForbiddenConcernsNoOther(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		server.put(secret("a", "the key itself"), secret("b", "1"), listens("gw", "a", "b"))
		server.refuse(http.StatusForbidden, "get secrets a")
		w := follow(t, server)
		w.untilFirst()
		if w.content("b") != "1" || w.object(secretKey("a")) != nil {
			t.Errorf("a is %q and b is %q", w.content("a"), w.content("b"))
		}
		found := w.diagnostic(secretKey("a"))
		if found.Severity != diagnostic.Error || !strings.Contains(found.Message, "forbidden") ||
			!strings.HasPrefix(found.Fix, "give Sluice's ServiceAccount a role with get for secrets in namespace shop") {
			t.Errorf("found %+v", found)
		}
		time.Sleep(time.Hour)
		if n := w.logged("cannot be read"); n != 1 {
			t.Errorf("%d lines:\n%s", n, &w.log)
		}
		// 10 s between attempts at most, and 5 s at least.
		if n := server.asked("get secrets"); n < 360 || n > 740 {
			t.Errorf("it was tried %d times in an hour", n)
		}
		server.refuse(0, "get secrets a")
		w.untilContent("a", "the key itself")
		w.until("no diagnostic", func() bool { return w.diagnostic(secretKey("a")) == diagnostic.Diagnostic{} })

		// What was read before is kept where it cannot be read any more.
		server.refuse(http.StatusForbidden, "get secrets a")
		server.put(secret("a", "2"))
		w.until("the refusal", func() bool { return w.diagnostic(secretKey("a")) != diagnostic.Diagnostic{} })
		if w.content("a") != "the key itself" {
			t.Errorf("a is %q", w.content("a"))
		}
		if strings.Contains(w.log.String(), "the key itself") {
			t.Error("a Secret is in the log")
		}
	})
}

func TestSecretsThatMayNotBeWatchedAreReadOneByOne(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		server.put(secret("a", "1"), listens("gw", "a", "late"))
		server.refuse(http.StatusForbidden, "list secrets", "watch secrets")
		w := follow(t, server)
		w.untilFirst()
		if w.content("a") != "1" {
			t.Errorf("a is %q in the first update", w.content("a"))
		}
		all := snapshot.Key{Kind: snapshot.KindSecret}
		if found := w.diagnostic(all); !strings.HasPrefix(found.Fix, "give Sluice's ServiceAccount a role with get, list and watch for secrets in all namespaces") {
			t.Errorf("found %+v", found)
		}
		server.put(secret("a", "2"), secret("late", "1"))
		w.untilContent("a", "2")
		w.untilContent("late", "1")
		before := w.count()
		time.Sleep(time.Hour)
		synctest.Wait()
		if w.count() != before {
			t.Errorf("%d updates without a change", w.count()-before)
		}
		server.remove(secretKey("late"))
		w.untilContent("late", "")

		server.refuse(0, "list secrets", "watch secrets")
		w.until("the watch", func() bool { return w.diagnostic(all) == diagnostic.Diagnostic{} })
		time.Sleep(2 * time.Minute)
		gets := server.asked("get secrets")
		start := time.Now()
		server.put(secret("a", "3"))
		w.untilContent("a", "3")
		if took := time.Since(start); took > time.Second {
			t.Errorf("a watched change was noticed after %v", took)
		}
		time.Sleep(time.Hour)
		if n := server.asked("get secrets"); n != gets+1 {
			t.Errorf("watched Secrets were read %d times more", n-gets-1)
		}

		server.refuse(http.StatusForbidden, "list secrets", "watch secrets")
		server.compact()
		w.until("the refusal", func() bool { return w.diagnostic(all) != diagnostic.Diagnostic{} })
		server.put(secret("a", "4"))
		w.untilContent("a", "4")
	})
}

func TestConfigMapsFollowWhatRefersToThem(t *testing.T) {
	inBubbles(t, func(t *testing.T, server *apiServer) {
		a := authority("a", "1")
		a.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: "{}"}
		a.Data["settings"] = strings.Repeat("for nobody", 1000)
		a.BinaryData = map[string][]byte{"image": []byte("for nobody")}
		server.put(a, authority("other", "1"), secret("a", "not this one"), trusts("policy", "a", "late"))
		w := follow(t, server)
		w.untilFirst()
		got, ok := w.object(authorityKey("a")).(*corev1.ConfigMap)
		if !ok || got.Annotations != nil || len(got.BinaryData) != 0 || !maps.Equal(got.Data, map[string]string{"ca.crt": "1"}) {
			t.Errorf("the first update has of the ConfigMap: %v", got)
		}
		if w.object(secretKey("a")) != nil || w.object(authorityKey("other")) != nil {
			t.Error("what nothing refers to is there")
		}

		server.put(authority("a", "2"))
		w.untilAuthority("a", "2")
		server.put(authority("late", "1"))
		w.untilAuthority("late", "1")
		server.remove(authorityKey("late"))
		w.untilAuthority("late", "")
		server.remove(snapshot.KeyOf(trusts("policy")))
		w.untilAuthority("a", "")
		if n := server.asked("get configmaps"); n != 5 {
			t.Errorf("%d times a ConfigMap was read, want 5: a twice, late before, when and after it was there", n)
		}
	})
}

// Who may write a ConfigMap must not fill the memory of all replicas: of one that is
// too large only as much is kept as shows that it is.
func TestLargeConfigMapIsCut(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		large := authority("large", strings.Repeat("x", 1<<20))
		large.BinaryData = map[string][]byte{"ca.crt": make([]byte, 1<<20)}
		server.put(large, trusts("policy", "large"))
		w := follow(t, server)
		w.untilFirst()
		got, ok := w.object(authorityKey("large")).(*corev1.ConfigMap)
		if want := config.MaxTrustBundle + 1; !ok || len(got.Data["ca.crt"]) != want || len(got.BinaryData["ca.crt"]) != want {
			t.Errorf("%d and %d bytes are kept, want %d", len(got.Data["ca.crt"]), len(got.BinaryData["ca.crt"]), want)
		}
	})
}

// Rights to the one kind are no rights to the other.
func TestConfigMapsThatMayNotBeWatchedAreReadOneByOne(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(authority("a", "1"), trusts("policy", "a"), secret("b", "1"), listens("gw", "b"))
		server.refuse(http.StatusForbidden, "list configmaps", "watch configmaps")
		w := follow(t, server)
		w.untilFirst()
		w.untilAuthority("a", "1")
		all := snapshot.Key{Kind: snapshot.KindConfigMap}
		if found := w.diagnostic(all); !strings.HasPrefix(found.Fix, "give Sluice's ServiceAccount a role with get, list and watch for configmaps in all namespaces") {
			t.Errorf("found %+v", found)
		}
		server.put(authority("a", "2"))
		w.untilAuthority("a", "2")
		time.Sleep(time.Hour)
		if n := server.asked("get secrets"); n != 1 {
			t.Errorf("the Secret was read %d times, though it may be watched", n)
		}
		server.refuse(http.StatusForbidden, "get configmaps a")
		w.until("the refusal", func() bool {
			return strings.HasPrefix(w.diagnostic(authorityKey("a")).Fix, "give Sluice's ServiceAccount a role with get for configmaps in namespace shop")
		})
		w.untilAuthority("a", "2")
	})
}

func TestReferences(t *testing.T) {
	elsewhere := gatewayv1.Namespace("elsewhere")
	caRef := func(name string, namespace *gatewayv1.Namespace) gatewayv1.TLSConfig {
		return gatewayv1.TLSConfig{Validation: &gatewayv1.FrontendTLSValidation{CACertificateRefs: []gatewayv1.ObjectReference{
			{Kind: "ConfigMap", Name: gatewayv1.ObjectName(name), Namespace: namespace}, {Kind: "Secret", Name: "no-authority"}, {Group: "example.com", Kind: "ConfigMap", Name: "other"},
		}}}
	}
	gateway := listens("gw", "own")
	gateway.Spec.Listeners = append(gateway.Spec.Listeners, gatewayv1.Listener{TLS: &gatewayv1.ListenerTLSConfig{CertificateRefs: []gatewayv1.SecretObjectReference{
		{Kind: new(gatewayv1.Kind("Other")), Name: "other"}, {Group: new(gatewayv1.Group("example.com")), Name: "other"}, {Name: "far", Namespace: &elsewhere},
	}}}, gatewayv1.Listener{})
	gateway.Spec.TLS = &gatewayv1.GatewayTLSConfig{
		Backend: &gatewayv1.GatewayBackendTLS{ClientCertificateRef: &gatewayv1.SecretObjectReference{Name: "identity", Namespace: &elsewhere}},
		Frontend: &gatewayv1.FrontendTLSConfig{
			Default: caRef("clients", nil),
			PerPort: []gatewayv1.TLSPortConfig{{Port: 443, TLS: caRef("partners", &elsewhere)}, {Port: 444}},
		},
	}
	secret, configMap := secretKey("own"), authorityKey("clients")
	in := func(key snapshot.Key, namespace, name string) snapshot.Key {
		key.Namespace, key.Name = namespace, name
		return key
	}
	for _, test := range []struct {
		rule   string
		object snapshot.Object
		want   []snapshot.Key
	}{
		{"a Gateway refers to certificates and authorities, also in other namespaces", gateway,
			[]snapshot.Key{in(secret, "elsewhere", "identity"), configMap, in(configMap, "elsewhere", "partners"), secret, in(secret, "elsewhere", "far")}},
		{"a policy refers to authorities beside it", trusts("policy", "a", "b"), []snapshot.Key{authorityKey("a"), authorityKey("b")}},
		{"a route refers to none", route("web"), nil},
		{"what is gone refers to none", nil, nil},
	} {
		if got := kube.References(test.object); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.rule, got, test.want)
		}
	}
}
