package filter_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/config"
	"github.com/sluicegateway/sluice/proxy/filter"
)

const varyOrigin = "Vary: Origin\n"

// listed is the configuration of the API's conformance test.
var listed = config.CORS{
	AllowOrigins:     []string{"https://www.foo.com", "https://*.bar.com"},
	AllowMethods:     []string{"GET", "OPTIONS"},
	AllowHeaders:     []string{"x-header-1", "x-header-2"},
	ExposeHeaders:    []string{"x-header-3", "x-header-4"},
	AllowCredentials: true,
	MaxAge:           time.Hour,
}

func wildcards(credentials bool) config.CORS {
	all := []string{"*"}
	return config.CORS{AllowOrigins: all, AllowMethods: all, AllowHeaders: all, ExposeHeaders: all, AllowCredentials: credentials}
}

func TestCORSPreflight(t *testing.T) {
	tests := []struct {
		rule    string
		cors    config.CORS
		request []string
		want    string
	}{
		{
			"an allowed origin", listed,
			[]string{"Origin: https://www.foo.com", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: x-header-1"},
			varyOrigin + "Access-Control-Allow-Origin: https://www.foo.com\nAccess-Control-Allow-Credentials: true\n" +
				"Access-Control-Expose-Headers: x-header-3, x-header-4\nAccess-Control-Allow-Methods: GET, OPTIONS\n" +
				"Access-Control-Allow-Headers: x-header-1, x-header-2\nAccess-Control-Max-Age: 3600\n",
		},
		{
			"another origin is answered without CORS fields", listed,
			[]string{"Origin: https://foobar.com", "Access-Control-Request-Method: GET"}, varyOrigin,
		},
		{
			"max age is 5 seconds by default, absent lists are absent", config.CORS{AllowOrigins: []string{"https://www.foo.com"}},
			[]string{"Origin: https://www.foo.com", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: x"},
			varyOrigin + "Access-Control-Allow-Origin: https://www.foo.com\nAccess-Control-Max-Age: 5\n",
		},
		{
			"wildcards with credentials are echoed", wildcards(true),
			[]string{"Origin: https://other.foo.com", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-header-1, x-header-2"},
			varyOrigin + "Access-Control-Allow-Origin: https://other.foo.com\nAccess-Control-Allow-Credentials: true\n" +
				"Access-Control-Allow-Methods: PUT\nAccess-Control-Allow-Headers: x-header-1, x-header-2\nAccess-Control-Max-Age: 5\n",
		},
		{
			"without requested headers none are allowed", wildcards(true),
			[]string{"Origin: https://other.foo.com", "Access-Control-Request-Method: PUT"},
			varyOrigin + "Access-Control-Allow-Origin: https://other.foo.com\nAccess-Control-Allow-Credentials: true\n" +
				"Access-Control-Allow-Methods: PUT\nAccess-Control-Max-Age: 5\n",
		},
		{
			"wildcards without credentials", wildcards(false),
			[]string{"Origin: https://other.foo.com:12345", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: Authorization"},
			"Access-Control-Allow-Origin: *\nAccess-Control-Expose-Headers: *\nAccess-Control-Allow-Methods: PUT\n" +
				"Access-Control-Allow-Headers: Authorization\nAccess-Control-Max-Age: 5\n",
		},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			x := begin(request("OPTIONS https://a.example/cors", test.request...), "/")
			r := filter.Compile(&config.Filters{CORS: &test.cors}).Request(x)
			if r == nil || r.Status != 204 || r.BodyLength != 0 {
				t.Fatalf("answer: %+v", r)
			}
			if diff := cmp.Diff(test.want, fieldLines(&r.Header)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// Fetch standard: a preflight is OPTIONS with Origin and Access-Control-Request-Method.
func TestCORSNoPreflight(t *testing.T) {
	chain := filter.Compile(&config.Filters{CORS: &listed})
	for line, fields := range map[string][]string{
		"OPTIONS https://a.example/1": {"Origin: https://www.foo.com"},
		"OPTIONS https://a.example/2": {"Access-Control-Request-Method: GET"},
		"OPTIONS https://a.example/3": nil,
		"GET https://a.example/4":     {"Origin: https://www.foo.com", "Access-Control-Request-Method: GET"},
	} {
		if r := chain.Request(begin(request(line, fields...), "/")); r != nil {
			t.Errorf("%s %v is answered: %+v", line, fields, r)
		}
	}
}

func TestCORSResponse(t *testing.T) {
	tests := []struct {
		rule    string
		cors    config.CORS
		request []string
		backend []string
		want    string
	}{
		{
			"an allowed origin", listed, []string{"Origin: https://www.bar.com"}, nil,
			varyOrigin + "Access-Control-Allow-Origin: https://www.bar.com\nAccess-Control-Allow-Credentials: true\n" +
				"Access-Control-Expose-Headers: x-header-3, x-header-4\n",
		},
		{"another origin", listed, []string{"Origin: https://foobar.com"}, nil, varyOrigin},
		{"no origin: what is cached depends on it all the same", listed, nil, nil, varyOrigin},
		{"any origin without credentials", wildcards(false), []string{"Origin: https://foobar.com"}, nil,
			"Access-Control-Allow-Origin: *\nAccess-Control-Expose-Headers: *\n"},
		{
			"any origin with credentials", wildcards(true), []string{"Origin: https://foobar.com"}, []string{"Server: x"},
			"Server: x\n" + varyOrigin + "Access-Control-Allow-Origin: https://foobar.com\nAccess-Control-Allow-Credentials: true\n" +
				"Access-Control-Expose-Headers: Server, Vary, Access-Control-Allow-Origin, Access-Control-Allow-Credentials\n",
		},
		{
			"the backend's word is replaced", config.CORS{AllowOrigins: []string{"https://www.foo.com"}},
			[]string{"Origin: https://www.foo.com"},
			[]string{"Access-Control-Allow-Origin: *", "Access-Control-Allow-Credentials: true", "Vary: Accept, origin"},
			"Access-Control-Allow-Origin: https://www.foo.com\nVary: Accept, origin\n",
		},
		{
			"the backend cannot allow another origin", listed, []string{"Origin: https://foobar.com"},
			[]string{"Access-Control-Allow-Origin: *", "Access-Control-Allow-Credentials: true", "Vary: *"}, "Vary: *\n",
		},
		{"Vary is appended to", listed, nil, []string{"Vary: Accept-Encoding"}, "Vary: Accept-Encoding\n" + varyOrigin},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			x := begin(request("GET https://a.example/cors", test.request...), "/")
			chain := filter.Compile(&config.Filters{CORS: &test.cors})
			if chain.Request(x) != nil {
				t.Fatal("no preflight, but answered")
			}
			r := response(200, test.backend...)
			chain.Response(x, r)
			if diff := cmp.Diff(test.want, fieldLines(&r.Header)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// HTTPCORSFilter.allowOrigins.
func TestCORSOrigins(t *testing.T) {
	tests := []struct {
		configured string
		allowed    []string
		not        []string
	}{
		{"*", []string{"https://a.example", "http://a.example:8080", "null"}, nil},
		{"https://a.example", []string{"https://a.example", "https://a.example:443", "https://A.example"},
			[]string{"http://a.example", "https://a.example:8443", "https://b.a.example", "https://a.example.org", "null", "https://*"}},
		{"https://a.example:443", []string{"https://a.example"}, []string{"https://a.example:444"}},
		{"http://a.example:80", []string{"http://a.example"}, []string{"https://a.example"}},
		{"http://a.example:8080", []string{"http://a.example:8080"}, []string{"http://a.example", "http://a.example:x", "http://a.example:99999"}},
		{"https://*.bar.com", []string{"https://www.bar.com", "https://xpto.www.bar.com"},
			[]string{"https://bar.com", "https://foobar.com", "https://.bar.com", "https://www.bar.com:8443", "http://www.bar.com", "https://www.bar.com.evil.example"}},
		{"http://*", []string{"http://a.example", "http://[::1]"}, []string{"https://a.example", "http://a.example:8080", "http://", "null"}},
		{"http://*:8080", []string{"http://a.example:8080", "http://[::1]:8080"}, []string{"http://a.example"}},
		{"nonsense", nil, []string{"nonsense", "https://nonsense"}},
	}
	for _, test := range tests {
		t.Run(test.configured, func(t *testing.T) {
			chain := filter.Compile(&config.Filters{CORS: &config.CORS{AllowOrigins: []string{test.configured}}})
			allows := func(origin string) bool {
				x := begin(request("GET https://a.example/", "Origin: "+origin), "/")
				chain.Request(x)
				r := response(200)
				chain.Response(x, r)
				_, ok := r.Header.Lookup("Access-Control-Allow-Origin")
				return ok
			}
			for _, origin := range test.allowed {
				if !allows(origin) {
					t.Errorf("%s is not allowed", origin)
				}
			}
			for _, origin := range test.not {
				if allows(origin) {
					t.Errorf("%s is allowed", origin)
				}
			}
		})
	}
}
