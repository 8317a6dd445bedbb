package filter

import "github.com/sluicegateway/sluice/config"

func compileRewrite(r *config.Rewrite) *config.Rewrite {
	if r == nil {
		return nil
	}
	return &config.Rewrite{Hostname: r.Hostname, Path: compilePath(r.Path)}
}

// rewrite is the URLRewrite filter (HTTPURLRewriteFilter). The path is that of
// the client's request: the rewrite of a backendRef takes the place of its rule's.
func rewrite(r *config.Rewrite, x *Exchange) {
	if r.Hostname != "" {
		x.request.SetAuthority(r.Hostname)
	}
	if r.Path != nil {
		x.request.Path = replacePath(r.Path, x.path, x.prefix)
	}
}
