package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// NewClientIP makes a function that tells a request's client address. X-Forwarded-For counts only when the peer stands in one of the
// trusted networks, and then from the right, up to the first address that is not trusted: everything left of that the client may have
// made up.
func NewClientIP(trusted []string) (func(*http.Request) string, error) {
	if len(trusted) == 0 {
		return peerIP, nil
	}
	nets := make([]netip.Prefix, 0, len(trusted))
	for _, s := range trusted {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return nil, fmt.Errorf("gateway: trusted proxy %q is neither an address nor a network", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		nets = append(nets, p)
	}
	trust := func(a netip.Addr) bool {
		for _, n := range nets {
			if n.Contains(a) {
				return true
			}
		}
		return false
	}
	return func(r *http.Request) string { return forwarded(r, trust) }, nil
}

func forwarded(r *http.Request, trust func(netip.Addr) bool) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	client := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0 && trust(client); i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		client = a.Unmap().WithZone("")
	}
	return client.String()
}

// peerIP is the address the connection comes from.
func peerIP(r *http.Request) string {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return ap.Addr().Unmap().String()
	}
	return r.RemoteAddr // a unix socket has none
}

// publicURL checks the prefix of links: an absolute URL without query and fragment, or nothing.
func publicURL(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("the public URL is not an absolute http or https URL")
	}
	return strings.TrimRight(s, "/"), nil
}
