"""Small tools without a word of ReID in them: strict JSON, safe decoding of pictures, signals, patience."""
