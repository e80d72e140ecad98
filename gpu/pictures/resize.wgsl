// Resizes a picture until it covers the model's input, and crops its centre.
//
//   out[y, x] = round(255 · Σⱼ Σᵢ wᵢⱼ · picture[j, i] / Σⱼ Σᵢ wᵢⱼ)
//   wᵢⱼ       = triangle(i + ½ − cx, rx) · triangle(j + ½ − cy, ry)
//   c         = (corner + (x, y) + ½) · scale,    r = max(scale, 1)
//
// picture [rows, columns] of RGBA, out [height, width, 3] bytes. The filter is that of
// src/video/pixels/resample.ts, in float32, after the conversion to RGB and not before.
//
// An invocation computes four pixels. They are three words, so no word has two writers. A pixel
// reads (2·scale)² texels: 100 of a picture of 1080 rows for 224. Its neighbours read most of them,
// too, from the cache of textures. Two passes would read fewer, but write a picture in between.
struct Params {
  size: vec2u, // columns and rows of the picture
  scale: vec2f, // of the picture, per pixel
  corner: vec2f, // of the crop in the resized picture, in pixels
  width: u32,
  count: u32, // pixels
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var picture: texture_2d<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

fn pixelAt(index: u32) -> vec3u {
  let at = vec2f(f32(index % p.width), f32(index / p.width));
  let centre = (p.corner + at + 0.5) * p.scale;
  let radius = max(p.scale, vec2f(1.0));
  let first = vec2u(max(floor(centre - radius + 0.5), vec2f(0.0)));
  let end = min(vec2u(floor(centre + radius + 0.5)), p.size);
  var sum = vec3f(0.0);
  var weights = 0.0;
  for (var j = first.y; j < end.y; j++) {
    let row = max(0.0, 1.0 - abs(f32(j) + 0.5 - centre.y) / radius.y);
    for (var i = first.x; i < end.x; i++) {
      let weight = row * max(0.0, 1.0 - abs(f32(i) + 0.5 - centre.x) / radius.x);
      sum += weight * textureLoad(picture, vec2u(i, j), 0).rgb;
      weights += weight;
    }
  }
  return vec3u(255.0 * sum / max(weights, 1e-9) + 0.5);
}

fn packed(bytes: vec4u) -> u32 {
  let parts = bytes << vec4u(0u, 8u, 16u, 24u);
  return parts.x | parts.y | parts.z | parts.w;
}

@compute @workgroup_size(64)
fn resize(@builtin(global_invocation_id) id: vec3u) {
  let first = 4u * id.x;
  if (first >= p.count) {
    return;
  }
  let a = pixelAt(first);
  let b = pixelAt(first + 1u);
  let c = pixelAt(first + 2u);
  let d = pixelAt(first + 3u);
  let word = 3u * id.x;
  out[word] = packed(vec4u(a, b.r));
  out[word + 1u] = packed(vec4u(b.gb, c.rg));
  out[word + 2u] = packed(vec4u(c.b, d));
}
