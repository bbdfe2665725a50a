-- A table of about 100 MB, in memory but for what sorts, and what one asks of it.
CREATE TABLE sales (id INTEGER PRIMARY KEY, customer INTEGER, product TEXT, price REAL, note TEXT);
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 900000)
INSERT INTO sales
SELECT n, (n * 7919) % 50021, 'product ' || ((n * 31) % 997), ((n * 104729) % 100000) / 100.0,
       printf('%08x the note of sale number %d, which was paid in %s', n * 2654435761 % 4294967296, n,
              CASE n % 3 WHEN 0 THEN 'cash' WHEN 1 THEN 'shells' ELSE 'silver' END)
FROM number;
CREATE INDEX sales_of_customer ON sales (customer, price);
SELECT page_count * page_size / 1000000 > 90 FROM pragma_page_count, pragma_page_size;
SELECT product, count(*), round(sum(price), 2) FROM sales GROUP BY product ORDER BY 3 DESC LIMIT 5;
SELECT count(*) FROM sales WHERE note LIKE '%shells' AND price BETWEEN 100 AND 200;
SELECT customer, max(price) FROM sales GROUP BY customer HAVING count(*) > 17 ORDER BY 2 DESC, 1 LIMIT 5;
SELECT count(*) FROM sales a JOIN sales b ON a.customer = b.customer AND a.price < b.price WHERE a.id % 40 = 0;
SELECT count(DISTINCT substr(note, 1, 4)) FROM sales;
UPDATE sales SET price = price * 1.1 WHERE product LIKE 'product 1%';
DELETE FROM sales WHERE customer % 11 = 3;
SELECT count(*), round(sum(price), 2), sum(length(note)) FROM sales;
