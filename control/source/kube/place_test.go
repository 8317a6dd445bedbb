package kube_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/api/v1alpha1"
	"github.com/sluicegateway/sluice/control/provision"
	"github.com/sluicegateway/sluice/control/snapshot"
	"github.com/sluicegateway/sluice/control/source/kube"
	"github.com/sluicegateway/sluice/control/status"
)

// wanted is what a Gateway of the server needs: a Service for the ports, and a
// slice of the replicas with these addresses.
func (s *apiServer) wanted(name string, addresses ...string) provision.Wanted {
	g := s.object(key(snapshot.KindGateway, name)).(*gatewayv1.Gateway)
	w := provision.Wanted{Service: provision.Service(g, []provision.Port{{Number: 80, Protocol: "HTTP", Target: 10000}}, v1alpha1.ServiceParameters{})}
	var replicas []provision.Replica
	for _, a := range addresses {
		replicas = append(replicas, provision.Replica{
			Namespace: ownNamespace, Name: "pod-" + a, Node: "node", Addresses: []string{a}, Ready: true,
			Serving: map[string]provision.Serving{"shop/" + name: {Ports: []uint16{10000}}},
		})
	}
	w.Slices = provision.Slices("shop/"+name, w.Service, replicas)
	return w
}

// placed are the Services and EndpointSlices that the server has.
func (s *apiServer) placed() []snapshot.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []snapshot.Object
	for key, object := range s.objects {
		if key.Kind == snapshot.KindService || key.Kind == snapshot.KindEndpointSlice {
			all = append(all, object)
		}
	}
	return all
}

func (s *apiServer) service(name string) *corev1.Service {
	service, _ := s.object(key(snapshot.KindService, name)).(*corev1.Service)
	return service
}

const gwService = "gw-sluice"

func expectRefusals(t *testing.T, a *author, parts ...string) {
	t.Helper()
	told := a.refusals()
	ok := len(told) == len(parts)
	for i := 0; ok && i < len(parts); i++ {
		ok = strings.Contains(told[i], parts[i])
	}
	if !ok {
		t.Errorf("told %q, want %q", told, parts)
	}
}

// The Service comes first, because it owns its slices. What the cluster adds stays,
// and nothing is written that is there already, also after a restart.
func TestWhatGatewaysNeedIsPlaced(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(class("sluice", controller), gateway("gw"))
		a := newAuthor(t, server, true)
		wanted := server.wanted("gw", "10.0.0.1", "10.0.0.2")
		a.placer.Set(gw, wanted)
		pass(time.Second)
		service := server.service(gwService)
		slice := server.object(snapshot.KeyOf(wanted.Slices[0])).(*discoveryv1.EndpointSlice)
		if len(slice.Endpoints) != 2 || len(slice.OwnerReferences) != 1 || slice.OwnerReferences[0].UID != service.UID || slice.OwnerReferences[0].Kind != "Service" {
			t.Errorf("slice %v", slice)
		}
		if owner := service.OwnerReferences[0]; owner.Kind != "Gateway" || owner.UID != server.object(gw).GetUID() {
			t.Errorf("owner of the Service %v", owner)
		}
		// As a cloud does.
		service = service.DeepCopy()
		service.Spec.ClusterIP, service.Spec.Ports[0].NodePort = "10.96.0.1", 30000
		service.Annotations["cloud"], service.Finalizers = "1", []string{"cloud/lb"}
		service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "1.2.3.4"}}
		server.put(service)
		pass(time.Minute)
		a.stop()
		b := newAuthor(t, server, true)
		b.placer.Set(gw, wanted)
		pass(time.Minute)
		if n := server.written(); n != 2 {
			t.Errorf("%d writes, want a Service and a slice", n)
		}

		changed := server.wanted("gw", "10.0.0.1")
		changed.Service.Spec.Ports[0].TargetPort.IntVal = 10001
		b.placer.Set(gw, changed)
		pass(time.Second)
		service = server.service(gwService)
		if p := service.Spec.Ports[0]; p.TargetPort.IntVal != 10001 || p.NodePort != 30000 ||
			service.Spec.ClusterIP != "10.96.0.1" || service.Annotations["cloud"] != "1" || len(service.Status.LoadBalancer.Ingress) != 1 {
			t.Errorf("after a change: %v", service)
		}
		expectRefusals(t, a)
		expectRefusals(t, b)
	})
}

// Labels, annotations and fields that Sluice wrote and that are not wanted any more
// go, also if another replica wrote them.
func TestWhatIsNotWantedAnyMoreGoes(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(class("sluice", controller), gateway("gw"))
		a := newAuthor(t, server, true)
		wanted := server.wanted("gw", "10.0.0.1")
		wanted.Service.Labels["team"], wanted.Service.Annotations = "a", map[string]string{"size": "large", "zone": "z"}
		wanted.Service.Spec.LoadBalancerIP = "1.2.3.4"
		a.placer.Set(gw, wanted)
		pass(time.Second)
		a.stop()

		b := newAuthor(t, server, true)
		wanted = server.wanted("gw", "10.0.0.1")
		wanted.Service.Annotations = map[string]string{"zone": "z"}
		wanted.Slices[0].Endpoints[0].NodeName = nil
		b.placer.Set(gw, wanted)
		pass(time.Second)
		service := server.service(gwService)
		if service.Labels["team"] != "" || service.Annotations["size"] != "" || service.Annotations["zone"] != "z" || service.Spec.LoadBalancerIP != "" {
			t.Errorf("%v %v %q stay", service.Labels, service.Annotations, service.Spec.LoadBalancerIP)
		}
		if slice := server.object(snapshot.KeyOf(wanted.Slices[0])).(*discoveryv1.EndpointSlice); slice.Endpoints[0].NodeName != nil {
			t.Errorf("node %s stays", *slice.Endpoints[0].NodeName)
		}
		if n := server.written(); n != 4 {
			t.Errorf("%d writes, want 4", n)
		}
	})
}

// Somebody's changes of what is wanted are undone, and what he deletes is made again.
func TestWhatIsPlacedIsMended(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(class("sluice", controller), gateway("gw"))
		a := newAuthor(t, server, true)
		wanted := server.wanted("gw", "10.0.0.1")
		a.placer.Set(gw, wanted)
		pass(time.Second)
		service := server.service(gwService).DeepCopy()
		service.Spec.Ports[0].TargetPort.IntVal = 1
		server.put(service)
		pass(time.Second)
		if p := server.service(gwService).Spec.Ports[0].TargetPort.IntVal; p != 10000 {
			t.Errorf("target port %d", p)
		}
		service = server.service(gwService).DeepCopy()
		service.Spec.Ports[0].Port = 81
		server.put(service)
		pass(time.Second)
		if ports := server.service(gwService).Spec.Ports; len(ports) != 1 || ports[0].Port != 80 {
			t.Errorf("ports %v", ports)
		}
		server.remove(snapshot.KeyOf(wanted.Service), snapshot.KeyOf(wanted.Slices[0]))
		pass(10 * time.Second)
		slice := server.object(snapshot.KeyOf(wanted.Slices[0]))
		if slice == nil || slice.GetOwnerReferences()[0].UID != server.service(gwService).UID {
			t.Errorf("there are %v after all was deleted", server.placed())
		}
	})
}

// Old slices go once the new ones are there.
func TestSlicesAreReplacedWithoutAGap(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(class("sluice", controller), gateway("gw"))
		a := newAuthor(t, server, true)
		wanted := server.wanted("gw", "10.0.0.1")
		a.placer.Set(gw, wanted)
		pass(time.Second)
		old := snapshot.KeyOf(wanted.Slices[0])
		next := server.wanted("gw", "fd00::1")
		server.refuse(http.StatusInternalServerError, "patch endpointslices")
		a.placer.Set(gw, next)
		pass(time.Second)
		if server.object(old) == nil {
			t.Error("the old slice is gone before the new one is there")
		}
		server.refuse(0, "patch endpointslices")
		pass(10 * time.Second)
		if server.object(old) != nil || server.object(snapshot.KeyOf(next.Slices[0])) == nil {
			t.Errorf("there are %v", server.placed())
		}
	})
}

// What Sluice did not make for the Gateway is never touched, seen before or not.
func TestForeignObjectsAreNotTouched(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*corev1.Service)
	}{
		{"of a person", func(s *corev1.Service) { s.Labels, s.OwnerReferences = nil, nil }},
		{"with our label", func(s *corev1.Service) { s.OwnerReferences = nil }},
		{"of another Gateway", func(s *corev1.Service) { s.OwnerReferences[0].Name = "other" }},
		{"with our owner", func(s *corev1.Service) { s.Labels = nil }},
	} {
		for _, seen := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, seen=%v", test.name, seen), func(t *testing.T) {
				bubble(t, func(t *testing.T, server *apiServer) {
					server.put(class("sluice", controller), gateway("gw"))
					a := newAuthor(t, server, true)
					foreign := server.wanted("gw").Service
					foreign.APIVersion, foreign.Kind = "v1", "Service"
					foreign.Spec.Ports[0].TargetPort.IntVal = 8080
					test.change(foreign)
					if !seen {
						server.refuse(http.StatusInternalServerError, "list services", "watch services")
						pass(time.Second)
					}
					server.apply(t, "person", snapshot.KeyOf(foreign), "", yamlOf(t, foreign))
					before := server.service(gwService)
					pass(time.Second)
					a.placer.Set(gw, server.wanted("gw", "10.0.0.1"))
					pass(300 * time.Millisecond)
					server.refuse(0, "list services", "watch services")
					pass(5 * time.Minute)
					if got := server.service(gwService); got != before {
						t.Errorf("it was changed to %v", got)
					}
					expectRefusals(t, a, "shop/gw: Service shop/gw-sluice exists and is not Sluice's for this Gateway; remove or rename it")
					if a.logged("does not take what a Gateway needs") != 1 {
						t.Errorf("log: %s", a.log.String())
					}

					server.remove(snapshot.KeyOf(foreign))
					pass(time.Second)
					if len(server.placed()) != 2 {
						t.Errorf("after it is gone there are %v", server.placed())
					}
					expectRefusals(t, a, "shop/gw: ")
				})
			})
		}
	}
}

// A refusal is told to the Gateway, tried again slowly and at each change, and taken
// back when it goes well.
func TestRefusalsAreTold(t *testing.T) {
	for _, test := range []struct {
		code int
		told string
	}{
		{http.StatusForbidden, "forbidden"}, // a missing right, a quota or an admission
		{http.StatusUnprocessableEntity, "invalid"},
		{http.StatusInternalServerError, "Internal"}, // a webhook that is away
	} {
		t.Run(fmt.Sprint(test.code), func(t *testing.T) {
			bubble(t, func(t *testing.T, server *apiServer) {
				server.put(class("sluice", controller), gateway("gw"))
				a := newAuthor(t, server, true)
				server.refuse(test.code, "patch services")
				a.placer.Set(gw, server.wanted("gw"))
				pass(100 * time.Second)
				if n := server.written(); n < 3 || n > 15 {
					t.Errorf("%d writes in 100 s", n)
				}
				expectRefusals(t, a, "shop/gw: Service shop/gw-sluice: ")
				server.refuse(0, "patch services")
				a.placer.Set(gw, server.wanted("gw", "10.0.0.1"))
				pass(time.Second)
				expectRefusals(t, a, "shop/gw: ")
				if len(server.placed()) != 2 {
					t.Errorf("there are %v", server.placed())
				}
			})
		})
	}
}

// A failure that passes soon is none of the Gateway's business.
func TestPassingFailuresAreNotTold(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(class("sluice", controller), gateway("gw"))
		a := newAuthor(t, server, true)
		server.refuse(http.StatusConflict, "patch services")
		a.placer.Set(gw, server.wanted("gw"))
		pass(300 * time.Millisecond)
		server.refuse(0, "patch services")
		pass(5 * time.Second)
		expectRefusals(t, a)
		if len(server.placed()) != 1 {
			t.Errorf("there are %v", server.placed())
		}
	})
}

// What a Gateway needs no more goes; what others have stays.
func TestWhatIsNotNeededIsDeleted(t *testing.T) {
	setUp := func(t *testing.T, server *apiServer) *author {
		other := &corev1.Service{ObjectMeta: named("shop", "other")}
		server.put(class("sluice", controller), class("theirs", "example.net/theirs"), gateway("gw"), gateway("kept"), other,
			&discoveryv1.EndpointSlice{ObjectMeta: named("shop", "other-1")})
		a := newAuthor(t, server, true)
		a.placer.Set(gw, server.wanted("gw", "10.0.0.1"))
		a.placer.Set(key(snapshot.KindGateway, "kept"), server.wanted("kept", "10.0.0.1"))
		pass(time.Second)
		return a
	}
	expectNames := func(t *testing.T, server *apiServer, want ...string) {
		t.Helper()
		var names []string
		for _, object := range server.placed() {
			if object.GetDeletionTimestamp() == nil {
				names = append(names, object.GetName())
			}
		}
		slices.Sort(names)
		for i, name := range names {
			if at := strings.Index(name, "-sluice-"); at > 0 {
				names[i] = name[:at] + " slice"
			}
		}
		if !slices.Equal(names, want) {
			t.Errorf("there are %q, want %q", names, want)
		}
	}
	kept := []string{"kept-sluice", "kept slice", "other", "other-1"}
	all := append([]string{"gw-sluice", "gw slice"}, kept...)
	toOther := func(server *apiServer) {
		g := gateway("gw")
		g.Spec.GatewayClassName = "theirs"
		server.put(g)
	}

	t.Run("wanted no more", func(t *testing.T) {
		bubble(t, func(t *testing.T, server *apiServer) {
			a := setUp(t, server)
			expectNames(t, server, all...)
			a.placer.Set(gw, provision.Wanted{})
			pass(time.Second)
			expectNames(t, server, kept...)
		})
	})
	t.Run("handed to another class while nobody led", func(t *testing.T) {
		bubble(t, func(t *testing.T, server *apiServer) {
			setUp(t, server).stop()
			toOther(server)
			newAuthor(t, server, true)
			pass(time.Second)
			expectNames(t, server, kept...)
		})
	})
	t.Run("lead before anything is translated", func(t *testing.T) {
		bubble(t, func(t *testing.T, server *apiServer) {
			setUp(t, server).stop()
			newAuthor(t, server, true)
			pass(time.Hour)
			expectNames(t, server, all...)
		})
	})
	t.Run("class cannot be read", func(t *testing.T) {
		bubble(t, func(t *testing.T, server *apiServer) {
			setUp(t, server).stop()
			server.remove(snapshot.Key{Kind: snapshot.KindGatewayClass, Name: "sluice"})
			newAuthor(t, server, true)
			pass(time.Hour)
			expectNames(t, server, all...)
		})
	})
	t.Run("Gateway gone", func(t *testing.T) {
		bubble(t, func(t *testing.T, server *apiServer) {
			a := setUp(t, server)
			before := server.written()
			server.remove(gw)
			pass(time.Second)
			a.placer.Set(gw, provision.Wanted{})
			pass(time.Minute)
			if n := server.written() - before; n != 0 {
				t.Errorf("%d writes for what Kubernetes collects itself", n)
			}
		})
	})
	t.Run("slices of an earlier leader", func(t *testing.T) {
		bubble(t, func(t *testing.T, server *apiServer) {
			setUp(t, server).stop()
			b := newAuthor(t, server, true)
			b.placer.Set(gw, server.wanted("gw"))
			pass(time.Second)
			expectNames(t, server, append([]string{"gw-sluice"}, kept...)...)
		})
	})
}

// A Gateway that was deleted and made again gets a Service of its own, not the one
// that is about to go.
func TestAGatewayIsMadeAgain(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(class("sluice", controller), gateway("gw"))
		a := newAuthor(t, server, true)
		a.placer.Set(gw, server.wanted("gw", "10.0.0.1"))
		pass(time.Second)
		held := server.service(gwService).DeepCopy()
		held.Finalizers = []string{"cloud/lb"}
		server.put(held)
		server.remove(gw)
		server.put(gateway("gw"))
		pass(time.Second)
		a.placer.Set(gw, server.wanted("gw", "10.0.0.1"))
		pass(time.Minute)
		if s := server.service(gwService); s.UID != held.UID || s.DeletionTimestamp == nil {
			t.Errorf("the old Service is %v, want it about to go", s)
		}
		server.remove(snapshot.KeyOf(held))
		pass(time.Minute)
		s := server.service(gwService)
		if s == nil || s.UID == held.UID || s.OwnerReferences[0].UID != server.object(gw).GetUID() {
			t.Fatalf("the new Service is %v", s)
		}
		for _, object := range server.placed() {
			if object != snapshot.Object(s) && object.GetOwnerReferences()[0].UID != s.UID {
				t.Errorf("%s is owned by %v", object.GetName(), object.GetOwnerReferences())
			}
		}
		expectRefusals(t, a)
	})
}

// Who does not lead places nothing.
func TestOnlyTheLeaderPlaces(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(class("sluice", controller), gateway("gw"))
		a := newAuthor(t, server, false)
		a.placer.Set(gw, server.wanted("gw", "10.0.0.1"))
		pass(time.Minute)
		if n := server.written(); n != 0 {
			t.Errorf("%d writes without the lead", n)
		}
		a.lead(true)
		pass(time.Second)
		if len(server.placed()) != 2 {
			t.Errorf("there are %v", server.placed())
		}
	})
}

// A Gateway that is served on the ports of nodes from now on has no Service any more,
// though nobody remembers that one was wanted.
func TestGatewaysMoveToTheNetworkOfTheHost(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(class("sluice", controller), gateway("gw"))
		a := newAuthor(t, server, true)
		a.placer.Set(gw, server.wanted("gw", "10.0.0.1"))
		pass(time.Second)
		a.stop()
		newAuthorWith(t, server, kube.PlaceOptions{Controller: controller, HostNetwork: true}, true)
		pass(time.Minute)
		if left := server.placed(); len(left) != 0 {
			t.Errorf("there are %v", left)
		}
	})
}

// Installations of different names share a cluster, and none takes what another
// has made or said for a leftover of its own.
func TestInstallationsLeaveEachOtherAlone(t *testing.T) {
	bubble(t, func(t *testing.T, server *apiServer) {
		server.put(class("sluice", controller), class("theirs", "example.net/theirs"), gateway("gw"), route("web"))
		a := newAuthor(t, server, true)
		other := newAuthorOf(t, server, "example.net/theirs", true)
		wish := gatewayStatus([]metav1.Condition{is("Accepted", "True")})
		a.statuses.Set(gw, wish)
		a.statuses.Set(web, parents("True", "gw"))
		a.placer.Set(gw, server.wanted("gw", "10.0.0.1"))
		pass(time.Minute)
		other.lead(true)
		other.statuses.Set(gw, status.Status{})
		other.statuses.Set(web, status.Status{})
		other.placer.Set(gw, provision.Wanted{})
		pass(time.Hour)
		if n := server.written(); n != 4 {
			t.Errorf("%d writes, want 4", n)
		}
		expect(t, "Gateway", server.said(gw), wish.String())
		expect(t, "route", server.said(web), parents("True", "gw").String())
		if len(server.placed()) != 2 {
			t.Errorf("there are %v", server.placed())
		}
	})
}
