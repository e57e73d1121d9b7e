package demo

import "context"

// Reel is the names of the films.
func Reel() []string {
	var names []string
	for _, f := range reel() {
		names = append(names, f.name)
	}
	return names
}

// Small makes a film as it is embedded.
func (s *Studio) Small(ctx context.Context, name string) ([]byte, error) {
	for _, f := range reel() {
		if f.name == name {
			return s.encode(ctx, f, quality{
				seconds: 3, rate: 4, scale: "320:180", picture: []string{"-preset", "veryslow", "-crf", "36"},
				sound: []string{"-ac", "1", "-ar", "8000", "-b:a", "8k"},
			})
		}
	}
	return nil, nil
}
