-- A second or two of Lua as programs are made of: calls, tables, closures, text, matrices.
local scale = tonumber(arg[1] or "1")

local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end

local Shape = {}
Shape.__index = Shape
function Shape.new(width, height) return setmetatable({ width = width, height = height }, Shape) end
function Shape:area() return self.width * self.height end
function Shape:grown(by) return Shape.new(self.width + by, self.height + by) end

local function shapes(count)
  local sum, shape = 0, Shape.new(1, 2)
  for step = 1, count do
    shape = shape:grown(step % 3)
    sum = (sum + shape:area()) % 1000003
    if step % 100 == 0 then shape = Shape.new(1, 2) end
  end
  return sum
end

local function product(size)
  local a, b, c = {}, {}, {}
  for i = 1, size do
    a[i], b[i], c[i] = {}, {}, {}
    for j = 1, size do a[i][j], b[i][j] = i / j, (i * j) % 7 end
  end
  for i = 1, size do
    for j = 1, size do
      local sum = 0.0
      for k = 1, size do sum = sum + a[i][k] * b[k][j] end
      c[i][j] = sum
    end
  end
  return string.format("%.6f", c[size][size // 2])
end

local function text(count)
  local lines, counts = {}, {}
  for step = 1, count do lines[#lines + 1] = ("%d:%s"):format(step, string.rep(string.char(97 + step % 26), step % 9)) end
  for number, word in table.concat(lines, " "):gmatch("(%d+):(%a+)") do counts[word] = (counts[word] or 0) + number end
  local names = {}
  for word in pairs(counts) do names[#names + 1] = word end
  table.sort(names, function(x, y) return counts[x] > counts[y] or counts[x] == counts[y] and x < y end)
  return names[1], counts[names[1]]
end

local function sorted(count)
  local values, state = {}, 12345
  for i = 1, count do
    state = (state * 1103515245 + 12345) % 2147483648
    values[i] = state
  end
  table.sort(values, function(x, y) return x < y end)
  return values[count // 2]
end

print(fib(math.floor(29 + scale)))
print(shapes(math.floor(3000000 * scale)))
print(product(math.floor(160 * scale)))
print(text(math.floor(250000 * scale)))
print(sorted(math.floor(300000 * scale)))
