package playback

import (
	"net/url"
	"path"
	"strings"

	"sluice/media"
)

// The places Handler serves.
const (
	signedPrefix = "/p/"
	publicPrefix = "/m/"
	playPrefix   = "/play/"
)

const (
	idLength     = 36
	original     = "original"
	maxExtension = 8
)

// splitMedia reads "{mediaId}" or "{mediaId}/{name}" of a raw path. A name may have slashes; whether it names anything is rendition's to say.
func splitMedia(rest string) (id media.AssetID, name string, err error) {
	if len(rest) < idLength || len(rest) > idLength && rest[idLength] != '/' {
		return media.AssetID{}, "", errNoMedia()
	}
	id, err = media.ParseAssetID(rest[:idLength])
	if err != nil {
		return media.AssetID{}, "", errNoMedia() // a malformed id is one that nothing has
	}
	if len(rest) > idLength {
		name = rest[idLength+1:]
	}
	return id, name, nil
}

// isOriginal reports whether a raw name after the media id means the file as it was uploaded. It does when it is
//
//   - empty: /p/{ticket}/{mediaId} and the same with a slash,
//   - "original", or "original." and up to eight letters and digits, the form Links gives: an extension for players that go by it, and
//     nothing of the file's own name, so that a link outlives a renaming and tells nobody what it leads to,
//   - the file's own name as one segment, escaped in whatever way, for people who type URLs.
//
// Every other name is free for renditions to come, and 404 until then.
func isOriginal(name string, a *media.Asset) bool {
	if name == "" {
		return true
	}
	if rest, ok := strings.CutPrefix(name, original); ok && (rest == "" || rest[0] == '.' && plainExtension(rest)) {
		return true
	}
	if a.Filename == "" || strings.Contains(name, "/") {
		return false
	}
	plain, err := url.PathUnescape(name)
	return err == nil && plain == a.Filename
}

// plainExtension reports whether ext is a dot and 1 to 8 ASCII letters and digits.
func plainExtension(ext string) bool {
	if len(ext) < 2 || len(ext) > 1+maxExtension || ext[0] != '.' {
		return false
	}
	for _, c := range []byte(ext[1:]) {
		if !isAlphanumeric(c) {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// extension gives the ending players go by: the file's own when it is plain, else its type's, else none.
func extension(a *media.Asset) string {
	if ext := path.Ext(a.Filename); plainExtension(ext) {
		return strings.ToLower(ext)
	}
	return media.ExtensionOf(baseType(a.MIMEType))
}

func signedPath(ticket string, a media.Asset) string {
	return signedPrefix + ticket + "/" + a.ID.String() + "/" + original + extension(&a)
}

// PublicURL gives the stable URL of a public asset, and "" for a private one.
func PublicURL(a media.Asset) string {
	if !a.Public {
		return ""
	}
	return publicPrefix + a.ID.String() + "/" + original + extension(&a)
}
