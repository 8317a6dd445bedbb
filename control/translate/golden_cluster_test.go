package translate_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/translate"
)

// cluster plays what stands around the translation in a cluster.
type cluster struct {
	// placed says that Services are made as they are wanted. Those of type
	// LoadBalancer get the addresses.
	placed    bool
	addresses []string
	// again says that all this happens after changes too.
	again bool
	// replicas serve what they should, but for those that are silent: they have
	// said nothing.
	replicas []*corev1.Pod
	silent   map[string]bool
	refused  map[snapshot.Key]string
}

func (c *goldenCase) parseClusterOption(t *testing.T, name, value string) {
	switch name {
	case "cluster":
		c.options.Cluster = &translate.Cluster{HostNetwork: value == "host network"}
		c.served = cmp.Or(c.served, "always")
	case "placed":
		c.cluster.placed, c.cluster.addresses = true, strings.Fields(value)
	case "again":
		c.cluster.again = true
	case "replica":
		c.cluster.replicas = append(c.cluster.replicas, parseReplica(t, value))
	case "silent replica":
		pod := parseReplica(t, value)
		c.cluster.replicas = append(c.cluster.replicas, pod)
		c.cluster.silent[pod.Name] = true
	case "refused":
		gateway, why, _ := strings.Cut(value, ": ")
		c.cluster.refused[parseKey("Gateway "+gateway)] = why
	default:
		t.Fatalf("no option %q", name)
	}
}

// parseReplica reads "NAME ADDRESS[,ADDRESS] NODE HOST [terminating] [unready]".
func parseReplica(t *testing.T, text string) *corev1.Pod {
	words := strings.Fields(text)
	if len(words) < 4 {
		t.Fatalf("no replica: %s", text)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "sluice-system", Name: words[0]}}
	for _, address := range strings.Split(words[1], ",") {
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: address})
	}
	pod.Spec.NodeName = words[2]
	pod.Status.HostIPs = []corev1.HostIP{{IP: words[3]}}
	ready := corev1.ConditionTrue
	for _, word := range words[4:] {
		switch word {
		case "terminating":
			pod.DeletionTimestamp = &metav1.Time{}
		case "unready":
			ready = corev1.ConditionFalse
		default:
			t.Fatalf("no replica: %s", text)
		}
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	return pod
}

// settle does what the replicas and the one that leads them do: it makes Services,
// and then says what is served.
func (c *goldenCase) settle(t *testing.T, translator *translate.Translator, s *snapshot.Snapshot) *snapshot.Snapshot {
	if c.options.Cluster == nil {
		return s
	}
	update := func(changes []snapshot.Change) {
		s = s.With(changes)
		c.report(translator, translator.Update(s, keys(changes)))
	}
	if c.cluster.placed {
		update(c.cluster.services(translator.View(), s))
	}
	update(c.cluster.leases(t, translator.View()))
	for gateway, why := range c.cluster.refused {
		translator.Refused(gateway, why)
	}
	return s
}

func (c *cluster) services(view translate.View, s *snapshot.Snapshot) []snapshot.Change {
	var changes []snapshot.Change
	for _, wanted := range view.AllWanted() {
		service := wanted.Service.DeepCopy()
		if service.Spec.Type == corev1.ServiceTypeLoadBalancer {
			for _, address := range c.addresses {
				ingress := corev1.LoadBalancerIngress{IP: address}
				if strings.Trim(address, "0123456789.:") != "" {
					ingress = corev1.LoadBalancerIngress{Hostname: address}
				}
				service.Status.LoadBalancer.Ingress = append(service.Status.LoadBalancer.Ingress, ingress)
			}
		}
		if service.Spec.Type == corev1.ServiceTypeClusterIP {
			service.Spec.ClusterIPs = []string{cmp.Or(service.Spec.ClusterIP, "10.96.0.10")}
		}
		changes = append(changes, snapshot.Change{Key: snapshot.KeyOf(service), Object: service})
	}
	return changes
}

func (c *cluster) leases(t *testing.T, view translate.View) []snapshot.Change {
	said, err := json.Marshal(view.Serving())
	if err != nil {
		t.Fatal(err)
	}
	var changes []snapshot.Change
	for _, pod := range c.replicas {
		changes = append(changes, snapshot.Change{Key: snapshot.KeyOf(pod), Object: pod})
		if !c.silent[pod.Name] {
			lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
			lease.Annotations = map[string]string{v1alpha1.AnnotationServing: string(said)}
			changes = append(changes, snapshot.Change{Key: snapshot.KeyOf(lease), Object: lease})
		}
	}
	return changes
}

// printWanted prints what all Gateways need.
func printWanted(view translate.View) string {
	var b strings.Builder
	for gateway, wanted := range view.AllWanted() {
		fmt.Fprintf(&b, "%s\n", gateway)
		printService(&b, wanted.Service)
		for _, slice := range wanted.Slices {
			printSlice(&b, slice)
		}
	}
	return b.String()
}

func printService(b *strings.Builder, s *corev1.Service) {
	fmt.Fprintf(b, "  Service %s/%s", s.Namespace, s.Name)
	for _, word := range []string{
		string(s.Spec.Type), string(s.Spec.ExternalTrafficPolicy), deref(s.Spec.LoadBalancerClass), s.Spec.LoadBalancerIP, s.Spec.ClusterIP,
		string(deref(s.Spec.IPFamilyPolicy)),
	} {
		if word != "" {
			b.WriteString(" " + word)
		}
	}
	b.WriteByte('\n')
	printMap(b, "label", s.Labels)
	printMap(b, "annotation", s.Annotations)
	for _, owner := range s.OwnerReferences {
		fmt.Fprintf(b, "    owner %s %s %s controller=%v\n", owner.APIVersion, owner.Kind, owner.Name, deref(owner.Controller))
	}
	for _, p := range s.Spec.Ports {
		fmt.Fprintf(b, "    port %s %d/%s to %s\n", p.Name, p.Port, p.Protocol, p.TargetPort.String())
	}
}

func printMap(b *strings.Builder, what string, all map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(b, "    %s %s=%s\n", what, key, all[key])
	}
}

func printSlice(b *strings.Builder, s *discoveryv1.EndpointSlice) {
	fmt.Fprintf(b, "  EndpointSlice %s/%s %s\n", s.Namespace, s.Name, s.AddressType)
	printMap(b, "label", s.Labels)
	for _, p := range s.Ports {
		fmt.Fprintf(b, "    port %s %d/%s\n", deref(p.Name), deref(p.Port), deref(p.Protocol))
	}
	for _, e := range s.Endpoints {
		fmt.Fprintf(b, "    %s at %s, %s %s/%s", strings.Join(e.Addresses, ","), deref(e.NodeName), e.TargetRef.Kind, e.TargetRef.Namespace, e.TargetRef.Name)
		for _, c := range []struct {
			name  string
			holds *bool
		}{{"ready", e.Conditions.Ready}, {"serving", e.Conditions.Serving}, {"terminating", e.Conditions.Terminating}} {
			if deref(c.holds) {
				b.WriteString(" " + c.name)
			}
		}
		b.WriteByte('\n')
	}
}

func deref[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}
