package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of Sluice's own kinds.
const GroupName = "sluice.dev"

// GroupVersion is the group and version of the kinds in this package.
var GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// AddToScheme adds the kinds of this package to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &Backend{}, &BackendList{}, &GatewayParameters{}, &GatewayParametersList{}, &ClientPolicy{}, &ClientPolicyList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
