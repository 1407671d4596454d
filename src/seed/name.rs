//! Names of people who do not exist.

pub const GIVEN: [&str; 40] = [
    "Aisha", "Akira", "Amara", "Anna", "Ayşe", "Bela", "Carlos", "Chidi", "Clara", "Dalia", "Dmitri", "Elif",
    "Emil", "Esra", "Fatima", "Felix", "Gabriela", "Hana", "Hugo", "Imani", "Ines", "Ivan", "Jana", "João",
    "Kai", "Lena", "Luca", "Maya", "Mei", "Nadia", "Noor", "Olga", "Omar", "Priya", "Rosa", "Samir", "Sofia",
    "Tariq", "Yuki", "Zoë",
];

pub const FAMILY: [&str; 40] = [
    "Adeyemi", "Almeida", "Andersen", "Bauer", "Bianchi", "Castillo", "Chen", "Costa", "Demir", "Dubois",
    "Eriksen", "Fischer", "Garcia", "Haddad", "Horvat", "Ito", "Jansen", "Kaya", "Khan", "Kowalski", "Kumar",
    "Laurent", "Lopez", "Mbeki", "Meyer", "Moreau", "Nakamura", "Nguyen", "Novak", "Okafor", "Patel",
    "Petrov", "Rossi", "Sato", "Silva", "Singh", "Tanaka", "Torres", "Weber", "Yilmaz",
];
