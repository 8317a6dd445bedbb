package attach_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluicegateway/sluice/control/attach"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// ReferenceGrant.spec: entries of from, and of to, are combined using OR.
func TestGranted(t *testing.T) {
	web := gatewayv1.ObjectName("web")
	none := gatewayv1.ObjectName("")
	s := with(
		grant("services", []gatewayv1.ReferenceGrantFrom{
			{Group: gatewayv1.GroupName, Kind: "GRPCRoute", Namespace: "front"},
			{Group: gatewayv1.GroupName, Kind: "HTTPRoute", Namespace: "front"},
		}, []gatewayv1.ReferenceGrantTo{{Kind: "Service", Name: &web}, {Kind: "Service", Name: new(gatewayv1.ObjectName("api"))}}),
		grant("secrets", []gatewayv1.ReferenceGrantFrom{
			{Group: gatewayv1.GroupName, Kind: "Gateway", Namespace: "front"},
		}, []gatewayv1.ReferenceGrantTo{{Kind: "Secret", Name: &none}}),
	)
	route := attach.From{Group: gatewayv1.GroupName, Kind: "HTTPRoute", Namespace: "front"}
	gateway := attach.From{Group: gatewayv1.GroupName, Kind: "Gateway", Namespace: "front"}
	tests := []struct {
		name string
		from attach.From
		to   attach.To
		want string
	}{
		{"one by name", route, attach.To{Kind: "Service", Namespace: "back", Name: "web"}, "services"},
		{"another by name", route, attach.To{Kind: "Service", Namespace: "back", Name: "api"}, "services"},
		{"other name", route, attach.To{Kind: "Service", Namespace: "back", Name: "db"}, ""},
		{"other group", route, attach.To{Group: "sluice.dev", Kind: "Service", Namespace: "back", Name: "web"}, ""},
		{"other kind", route, attach.To{Kind: "Secret", Namespace: "back", Name: "web"}, ""},
		{"other namespace of the object", route, attach.To{Kind: "Service", Namespace: "front2", Name: "web"}, ""},
		{"any name", gateway, attach.To{Kind: "Secret", Namespace: "back", Name: "cert"}, "secrets"},
		{"other kind of who refers", gateway, attach.To{Kind: "Service", Namespace: "back", Name: "web"}, ""},
		{"other namespace of who refers", attach.From{Group: gatewayv1.GroupName, Kind: "HTTPRoute", Namespace: "side"}, attach.To{Kind: "Service", Namespace: "back", Name: "web"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if grant := attach.Granted(s, test.from, test.to); grant != nil {
				got = grant.Name
			}
			if got != test.want {
				t.Errorf("granted by %q, want %q", got, test.want)
			}
		})
	}
}

func grant(name string, from []gatewayv1.ReferenceGrantFrom, to []gatewayv1.ReferenceGrantTo) *gatewayv1.ReferenceGrant {
	return &gatewayv1.ReferenceGrant{
		ObjectMeta: metav1.ObjectMeta{Namespace: "back", Name: name},
		Spec:       gatewayv1.ReferenceGrantSpec{From: from, To: to},
	}
}

func with(objects ...snapshot.Object) *snapshot.Snapshot {
	var changes []snapshot.Change
	for _, object := range objects {
		changes = append(changes, snapshot.Change{Key: snapshot.KeyOf(object), Object: object})
	}
	return snapshot.New().With(changes)
}
